"""Small studies for the tests, and records of runs without training."""

from pathlib import Path
from unittest import mock

import numpy as np

from tf_fullbatch.config.run import Config
from tf_fullbatch.errors import Outcome
from tf_fullbatch.records import summary
from tf_fullbatch.records.checkpoints import save_checkpoint
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.files import write_json
from tf_fullbatch.records.study_file import SWEEP_SEED, Arm, Axis, Published, Study
from tf_fullbatch.records.tables import TableWriter, read_table
from tf_fullbatch.studies.planned_runs import Run

TINY = Config().replacing(dataset="digits", train_size=64, model="linear", epochs=4, micro_batch_size=32)


def study(*names: str, seeds: tuple[int, ...] = (0, 1), **settings: object) -> Study:
    """Rows of these names, each with another learning rate."""
    arms = tuple(
        Arm(name=name, config=TINY.replacing(learning_rate=0.1 * (1 + k), **settings))
        for k, name in enumerate(names)
    )
    return Study(title="A study", arms=arms, seeds=seeds)


def swept(
    *names: str, seeds: tuple[int, ...] = (0, 1), sweep_seed: int = SWEEP_SEED, **settings: object
) -> Study:
    """Arms whose settings that are tuples of text are swept; with samples to choose by."""
    axes = tuple(Axis(setting=n, values=v) for n, v in settings.items() if isinstance(v, tuple))
    others = {n: v for n, v in settings.items() if not isinstance(v, tuple)}
    config = TINY.replacing(**{"validation_size": 100, "learning_rate": 0.1, **others})
    arms = tuple(Arm(name=name, config=config, sweep=axes) for name in names)
    return Study(title="A sweep", arms=arms, seeds=seeds, sweep_seed=sweep_seed)


def published(accuracy: float = 95.7) -> Published:
    """A figure with its source."""
    return Published(accuracy=accuracy, spread=0.1, source="a table, from memory")


def write_finished(
    run: Run, outcome: Outcome = Outcome.COMPLETED, split: str = "validation", **figures: float
) -> Path:
    """What a run leaves that has all its epochs; the folder of its checkpoint."""
    epochs = run.config.runtime.epochs
    write_records(run, epochs, split=split, **figures)
    run.folder.write_config(run.config, {})
    for path in (run.folder.model, run.folder.curves):
        path.touch()
    with mock.patch.object(summary, "git_revision", return_value=None):  # it takes a while
        content = summary.run_summary(
            outcome=outcome,
            metrics=read_table(run.folder.metrics, STEP_COLUMNS),
            evaluations=read_table(run.folder.evaluations, EVALUATION_COLUMNS),
            output_dir=run.folder.path,
            device="CPU",
        )
    write_json(run.folder.summary, content)
    arrays = {"weights": np.zeros(3)}
    return save_checkpoint(
        run.folder.checkpoints, step=epochs, epoch=float(epochs), arrays=arrays, metadata={}
    )


def write_records(
    run: Run, epochs: int, split: str = "test", evaluations_per_step: float = 1.0, **figures: float
) -> None:
    """What a run leaves in metrics.csv and evaluations.csv, one step a pass."""
    figures = figures or {"loss": 0.5, "accuracy": 0.75}
    run.folder.create()
    with TableWriter(run.folder.metrics, STEP_COLUMNS) as metrics:
        for step in range(1, epochs + 1):
            metrics.append({"step": step, "epoch": float(step), "samples_seen": 64 * step, "loss": 1 / step,
                            "gradient_evaluations": evaluations_per_step})  # fmt: skip
    with TableWriter(run.folder.evaluations, EVALUATION_COLUMNS) as evaluations:
        evaluations.append({"step": epochs, "epoch": float(epochs), "split": split, "weights": "raw",
                            "samples": 450, "seconds": 0.1, **figures})  # fmt: skip


def in_folder(folder: Path, *names: str) -> Path:
    """Flagfiles of these names in a folder, one setting each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(
            "--dataset=digits\n--train_size=64\n--model=linear\n--micro_batch_size=32\n"
        )
    return folder
