"""Trainings on samples that are mixed with partners of the whole set, or are there in several augmented copies.

    python -m tests.distributed.mixed_samples FILE

trains every case on two replicas, from beginning to end and, where that is within a pass, once more from a state in
between on, and writes what was found: logical CPUs of a process of its own or, with TF_CONFIG in the environment, two
workers, of which 0 writes.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.config.runtime import RuntimeConfig
from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.run import devices
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.state import TrainingState

SEED, SAMPLES, CLASSES, MICRO_BATCH = 5, 22, 3, 3
RATE = 0.3
IMAGES = np.random.default_rng(0).integers(0, 256, (SAMPLES, 6, 6, 3), dtype=np.uint8)
LABELS = np.arange(SAMPLES) % CLASSES
FIGURES = ("loss", "accuracy", "gradient_norm", "samples")


class Case(NamedTuple):
    """Samples that depend on others or on the pass.

    Attributes:
        settings: Of the step.
        batches: Of the update batches.
        epochs: Passes in all.
        stop: Steps after which the state is kept that a second training goes on from; None for no second one.
        streams: Whether samples stream where that can be chosen, on logical CPUs.
    """

    settings: dict[str, Any]
    batches: dict[str, Any]
    epochs: int
    stop: int | None = None
    streams: bool = False


OF_COPIES = {"augmentation": "crop2,alternating_flip,cutout2", "augment_copies": 3}
CASES = {
    # Three steps of a pass, the last of two samples: one micro-batch, so that a replica idles.
    "MixUp": Case(
        {"augmentation": "crop1,flip,mixup0.7"}, {"batch_size": 10, "shuffle": True, "mixes": True}, 2, stop=4
    ),
    "CutMix": Case({"augmentation": "cutmix(probability=0.7)"}, {"mixes": True}, 3, streams=True),
    # Five steps of a pass over 66 samples, the last of six.
    "copies": Case(OF_COPIES, {"batch_size": 15, "shuffle": True, "copies": 3}, 2, stop=7, streams=True),
    "copies in turn": Case({**OF_COPIES, "copies_in_turn": True}, {}, 5),
}


class _Recorder(keras.callbacks.Callback):
    """Keeps the figures of each step, and the state after the first and after `stop` steps."""

    def __init__(self, state: TrainingState, stop: int | None = None):
        super().__init__()
        self.steps: list[list[float]] = []
        self.kept: dict[int, dict[str, np.ndarray]] = {}
        self._state, self._stop = state, stop

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        del batch, logs
        self.steps.append([self.model.last_step[name] for name in FIGURES])
        if (made := self.model.steps_completed) in (1, self._stop):
            self.kept[made] = self._state.capture()


def made(
    settings: dict[str, Any], strategy: tf.distribute.Strategy, weights_seed: int = 0
) -> tuple[FullBatchModel, TrainingState]:
    """A model of two layers whose variables live on a strategy's replicas, and its state."""
    with strategy.scope():
        first, last = (keras.initializers.GlorotUniform(weights_seed + i) for i in (1, 2))
        inputs = keras.Input((6, 6, 3))
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
        x = keras.layers.Dense(3, "softplus", kernel_initializer=first)(x)
        network = keras.Model(inputs, keras.layers.Dense(CLASSES, kernel_initializer=last)(x))
        model = FullBatchModel(network, seed=SEED, micro_batch_size=MICRO_BATCH, **settings)
        model.compile(keras.optimizers.SGD(RATE, momentum=0.9), loss=SparseCrossentropy(label_smoothing=0.1))
        model.optimizer.build(network.trainable_variables)
    return model, TrainingState(model)


def trained(case: Case, strategy: tf.distribute.Strategy, *, streams: bool) -> dict[str, Any]:
    """What a training of a case does, and what one does that goes on from its middle.

    Returns:
        "start": the initial weights; "gradient": that of the first step, by what it did; "steps": the figures of each
        step; "copies": weights and momentum on each replica of this process; "resumed": steps and copies of the
        second training.
    """

    def batches() -> UpdateBatches:
        on_device = False if streams else None
        return UpdateBatches(IMAGES, LABELS, seed=SEED, on_device=on_device, **case.batches)

    model, state = made(case.settings, strategy)
    start = _vector(state.capture())
    whole = _Recorder(state, case.stop)
    model.fit(batches(), epochs=case.epochs, callbacks=[whole], verbose=0)
    found = {
        "start": start.tolist(),
        "gradient": ((start - _vector(whole.kept[1])) / RATE).tolist(),
        "steps": whole.steps,
        "copies": _copies(model),
    }
    if case.stop is None:
        return found
    other, other_state = made(case.settings, strategy, weights_seed=10)
    other_state.restore(whole.kept[case.stop])
    rest = _Recorder(other_state)
    epoch, step = divmod(case.stop, batches().steps_per_epoch)
    other.fit(
        batches(), initial_epoch=epoch, initial_step=step, epochs=case.epochs, callbacks=[rest], verbose=0
    )
    return {**found, "resumed": {"steps": rest.steps, "copies": _copies(other)}}


def _vector(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """All weights of a state."""
    return np.concatenate([np.ravel(a) for name, a in arrays.items() if name.startswith("network/")])


def _copies(model: FullBatchModel) -> list[list[float]]:
    """Weights and momentum on each replica of this process."""
    strategy = model.distribute_strategy
    variables = [*model.network.weights, *model.optimizer.variables]
    values = [strategy.experimental_local_results(variable.value) for variable in variables]
    return [
        np.concatenate([np.ravel(value).astype("float64") for value in of_replica]).tolist()
        for of_replica in zip(*values, strict=True)
    ]


def main(path: Path) -> None:
    """Trains every case under one strategy of two replicas, made once."""
    workers = "TF_CONFIG" in os.environ
    strategy = devices.choose_strategy(RuntimeConfig(simulate_devices=0 if workers else 2))
    assert strategy.num_replicas_in_sync == 2, strategy
    devices.set_precision("float64")
    found = {
        name: trained(case, strategy, streams=case.streams and not workers) for name, case in CASES.items()
    }
    if devices.is_chief("auto"):
        path.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
