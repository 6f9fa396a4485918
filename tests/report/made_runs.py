"""Runs that never ran: records of the shape a training leaves, with chosen figures.

`python -m tests.report.made_runs FOLDER ARMS SEEDS EPOCHS` writes a finished study of many arms.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tf_fullbatch.config.run import Config
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, MEASUREMENT_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.files import write_json
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.study_file import Arm, Published, Study, folder_of, write_study
from tf_fullbatch.records.tables import TableWriter

TRAIN_SIZE = 64
DEVICE = "CPU, 1 replica"


def config(**settings: Any) -> Config:
    """A short run on 64 digits."""
    return Config().replacing(**{"train_size": TRAIN_SIZE, "micro_batch_size": 16, "epochs": 4} | settings)


def write_run(
    folder: Path | RunFolder,
    settings: Config,
    accuracy: float | None,
    *,
    passes: float | None = None,
    outcome: str | None = "COMPLETED",
    validation: float | None = None,
    ema: float | None = None,
    seconds_a_step: float = 0.5,
    device: str = DEVICE,
    losses: Sequence[float] | None = None,
    cross_entropy: float | None = None,
    file_hashes: Mapping[str, str] | None = None,
    changed: tuple[float, float] | None = None,
) -> RunFolder:
    """Writes a run's records.

    Args:
        folder: Its folder.
        settings: Its settings.
        accuracy: Test accuracy at every evaluation, as a fraction; None without a test split.
        passes: Passes it has; None for all.
        outcome: What summary.json says; None for no summary.json.
        validation: Validation accuracy.
        ema: Test accuracy of the averaged weights.
        seconds_a_step: Seconds between rows of metrics.csv.
        device: What summary.json says.
        losses: Test loss at each evaluation, the last at all later ones; where accuracy is None it stands alone, as in
            regression.
        file_hashes: Setting -> hash of the user's file that it names.
        cross_entropy: By how much the cross-entropies that are recorded are below the losses; None for none.
        changed: Accuracies on training samples with changed labels, by these and by those that they had; None for none.
    """
    run = folder if isinstance(folder, RunFolder) else RunFolder(folder)
    run.create()
    files = {"files_sha256": dict(file_hashes)} if file_hashes else {}
    write_json(run.config, settings.to_dict() | files)
    steps_a_pass = -(-TRAIN_SIZE // (settings.optimizer.batch_size or TRAIN_SIZE))
    steps = round((settings.runtime.epochs if passes is None else passes) * steps_a_pass)
    with TableWriter(run.metrics, STEP_COLUMNS) as metrics:
        metrics.append_many(
            _with_cross_entropy(_step(settings, step, steps_a_pass, seconds_a_step), cross_entropy)
            | ({"accuracy": None} if losses is not None and accuracy is None else {})
            for step in range(1, steps + 1)
        )
    kinds = (("validation", "raw", validation), ("test", "raw", accuracy), ("test", "ema", ema))
    if changed is not None:
        kinds += (("noisy_labels", "raw", changed[0]), ("clean_labels", "raw", changed[1]))
    with TableWriter(run.evaluations, EVALUATION_COLUMNS) as evaluations:
        for number, step in enumerate(range(steps_a_pass, steps + 1, steps_a_pass)):
            for split, weights, value in kinds:
                loss = 0.5
                if losses is not None and (split, weights) == ("test", "raw"):
                    loss = losses[min(number, len(losses) - 1)]
                elif value is None:
                    continue
                line = {"step": step, "epoch": step / steps_a_pass, "split": split, "weights": weights, "loss": loss,
                        "accuracy": value, "samples": 100, "seconds": 0.1}  # fmt: skip
                evaluations.append(_with_cross_entropy(line, cross_entropy))
    if outcome is not None:
        write_json(run.summary, _summary(outcome, steps, device))
    return run


def write_measurements(
    folder: Path | RunFolder, figures: Mapping[tuple[str, str, str], Sequence[float]], every: int = 1
) -> None:
    """Writes a run's measurements.

    Args:
        folder: The run's folder, with its other records.
        figures: (measure, quantity, of) -> its values, of which the first was measured before any step. Costs are
            figures too.
        every: Steps, that are whole passes, between them.
    """
    run = folder if isinstance(folder, RunFolder) else RunFolder(folder)
    count = max(map(len, figures.values()))
    with TableWriter(run.measurements, MEASUREMENT_COLUMNS) as table:
        table.append_many(
            {"step": k * every, "epoch": float(k * every), "measure": measure, "quantity": quantity, "of": of,
             "value": values[k]}
            for k in range(count)
            for (measure, quantity, of), values in figures.items()
            if k < len(values)
        )  # fmt: skip


def _with_cross_entropy(line: dict[str, Any], below: float | None) -> dict[str, Any]:
    return line if below is None else line | {"cross_entropy": line["loss"] - below}


def _step(settings: Config, step: int, steps_a_pass: int, seconds: float) -> dict[str, Any]:
    penalised, clips = settings.step.penalty != "none", settings.step.clip_norm is not None
    return {
        "step": step, "epoch": step / steps_a_pass, "samples_seen": step * TRAIN_SIZE // steps_a_pass,
        "loss": 2.0 / step, "accuracy": 0.5, "penalised_objective": 2.0 / step,
        "penalty": 0.01 / step if penalised else 0.0, "gradient_norm": 3.0 / step,
        "clipped": int(clips and step < 3), "mean_squared_micro_batch_gradient_norm": 9.0 / step,
        "learning_rate": 0.1, "parameter_norm": 5.0, "update_norm": 0.1, "images_per_second": 100.0,
        "step_seconds": seconds, "wall_seconds": seconds * step,
    }  # fmt: skip


def _summary(outcome: str, steps: int, device: str) -> dict[str, Any]:
    message = "training completed" if outcome == "COMPLETED" else "loss is nan in step 9"
    return {
        "format_version": 1, "outcome": outcome, "message": message, "steps": steps, "device": device,
        "versions": {"python": "3.11", "tensorflow": "2.21.0"}, "git_revision": "abc",
    }  # fmt: skip


PUBLISHED = Published(accuracy=95.7, spread=0.11, source="a paper, quoted from memory")
SGD = config(batch_size=16, shuffle=True)
BASE = config()
CLIPPED = config(clip_norm=0.25, penalty="forward_differences", penalty_strength=0.5)
ACCURACIES = {
    "sgd": (0.95, 0.96, 0.94),
    "fb": (0.75, 0.76, 0.74),
    "clipped": (0.93, 0.95, 0.94),
}


def small_study(folder: Path, seeds: tuple[int, ...] = (0, 1, 2), **choices: Any) -> Study:
    """A study of three arms as it stands before any run."""
    arms = (
        Arm(name="sgd", config=SGD, published=PUBLISHED),
        Arm(name="fb", config=BASE),
        Arm(name="clipped", config=CLIPPED),
    )
    given = {"compare": (("clipped", "fb"), ("clipped", "sgd")), "waterfall": ("fb", "clipped")} | choices
    study = Study(title="A study", arms=arms, seeds=seeds, **given)
    folder.mkdir(parents=True, exist_ok=True)
    write_study(folder, study)
    return study


def finished_study(folder: Path, seeds: tuple[int, ...] = (0, 1, 2), **choices: Any) -> Study:
    """A study of three arms with all its runs, whose test accuracies are `ACCURACIES`."""
    study = small_study(folder, seeds, **choices)
    for arm in study.arms:
        for seed in seeds:
            write_run(
                folder_of(folder, arm.name, seed),
                arm.config.replacing(seed=seed),
                ACCURACIES[arm.name][seed],
                validation=ACCURACIES[arm.name][seed] - 0.01,
            )
    return study


def many_arms(folder: Path, arms: int, seeds: tuple[int, ...], epochs: int) -> None:
    """A finished study of many arms that differ by their learning rate; the first is the best."""
    made = [
        Arm(name=f"arm_{k:03d}", config=config(epochs=epochs, learning_rate=0.01 * (k + 1)))
        for k in range(arms)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_study(folder, Study(title="Many arms", arms=tuple(made), seeds=seeds))
    for k, arm in enumerate(made):
        for seed in seeds:
            accuracy = 0.95 - 0.5 * k / arms - 0.001 * seed
            write_run(
                folder_of(folder, arm.name, seed),
                arm.config.replacing(seed=seed),
                accuracy,
                validation=accuracy,
            )


if __name__ == "__main__":  # FOLDER ARMS SEEDS EPOCHS
    many_arms(Path(sys.argv[1]), int(sys.argv[2]), tuple(range(int(sys.argv[3]))), int(sys.argv[4]))
