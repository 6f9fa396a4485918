"""Small studies for the tests, and records of runs without training."""

from pathlib import Path

from tf_fullbatch.config.run import Config
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.study_file import Arm, Published, Study
from tf_fullbatch.records.tables import TableWriter
from tf_fullbatch.studies.planned_runs import Run

TINY = Config().replacing(dataset="digits", train_size=64, model="linear", epochs=4, micro_batch_size=32)


def study(*names: str, seeds: tuple[int, ...] = (0, 1), **settings: object) -> Study:
    """Rows of these names, each with another learning rate."""
    arms = tuple(
        Arm(name=name, config=TINY.replacing(learning_rate=0.1 * (1 + k), **settings))
        for k, name in enumerate(names)
    )
    return Study(title="A study", arms=arms, seeds=seeds)


def published(accuracy: float = 95.7) -> Published:
    """A figure with its source."""
    return Published(accuracy=accuracy, spread=0.1, source="a table, from memory")


def write_records(run: Run, epochs: int) -> None:
    """What a run leaves in metrics.csv and evaluations.csv, one step a pass."""
    run.folder.create()
    with TableWriter(run.folder.metrics, STEP_COLUMNS) as metrics:
        for step in range(1, epochs + 1):
            metrics.append({"step": step, "epoch": float(step), "samples_seen": 64 * step, "loss": 1 / step})
    with TableWriter(run.folder.evaluations, EVALUATION_COLUMNS) as evaluations:
        evaluations.append({"step": epochs, "epoch": float(epochs), "split": "test", "weights": "raw",
                            "loss": 0.5, "accuracy": 0.75, "samples": 450, "seconds": 0.1})  # fmt: skip


def in_folder(folder: Path, *names: str) -> Path:
    """Flagfiles of these names in a folder, one setting each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(
            "--dataset=digits\n--train_size=64\n--model=linear\n--micro_batch_size=32\n"
        )
    return folder
