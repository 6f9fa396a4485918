"""One process of a placement: trains every case and saves weights and figures; run by `test_placements`.

    python -m tests.distributed.placement FOLDER [--name=value ...]

With TF_CONFIG in the environment it is a worker; only worker 0 saves.
"""

import sys
from pathlib import Path

import numpy as np

from tests.distributed.cases import CASES, configuration
from tf_fullbatch.config.run import Config
from tf_fullbatch.run import build, devices
from tf_fullbatch.run.splits import evaluation_batches, training_batches


def trained(config: Config, parts: build.Assembly) -> dict[str, np.ndarray]:
    """Weights and the figures of the last step and of an evaluation, after the case's epochs."""
    batches = training_batches(config, parts.splits.train)
    parts.model.fit(batches, epochs=config.runtime.epochs, verbose=0)
    figures = parts.model.evaluate_batches(evaluation_batches(config, parts.splits.test))
    last = {k: v for k, v in parts.model.last_step.items() if k not in ("step_seconds", "images_per_second")}
    return {
        **parts.state.capture(),
        "last step": np.array(list(last.values())),
        "evaluation": np.array([figures["loss"], figures["accuracy"]]),
    }


def main(folder: Path, *flags: str) -> None:
    """Trains every case under one strategy, made once."""
    strategy = None
    for number, case in enumerate(CASES):
        config = configuration(case, *flags)
        if strategy is None:
            strategy = devices.choose_strategy(config.runtime)
        parts = build.assemble(config, strategy)
        result = trained(config, parts)
        if devices.is_chief(config.runtime.strategy):
            wide = {name: value.astype("float64") for name, value in result.items()}
            np.savez(folder / f"{number}.npz", **wide)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
