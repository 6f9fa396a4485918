"""The runs of a study: what each is, where it is kept, and how far it has come."""

import os
from dataclasses import dataclass
from pathlib import Path

from tf_fullbatch.config.run import Config, deciding_differences, differing_settings
from tf_fullbatch.outcomes import UserError
from tf_fullbatch.output_dir import finished_summary
from tf_fullbatch.records import RunFolder, naming_failures
from tf_fullbatch.studies.cost import Cost, cost_of
from tf_fullbatch.studies.record import FILE_NAME, Row, Study, read_study, run_folder
from tf_fullbatch.training.checkpoints import load_latest

_TAIL_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Run:
    """One row with one seed.

    Attributes:
        row: The row.
        seed: The seed.
        config: Its settings, whole.
        folder: Where it is kept.
        cost: What it costs from beginning to end.
    """

    row: Row
    seed: int
    config: Config
    folder: RunFolder
    cost: Cost

    def __str__(self) -> str:
        return f"{self.row.name}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """What its process printed: beside its folder."""
        return self.folder.path.with_suffix(".log")

    def is_finished(self) -> bool:
        """Whether it has all its epochs; a run whose files are damaged is not, and says so when it is started."""
        try:
            checkpoint, _ = load_latest(self.folder.checkpoints)
            return finished_summary(self.folder, self.config, checkpoint) is not None
        except UserError:
            return False

    def fraction(self) -> float:
        """The share of its passes that are done, from the last whole row of metrics.csv; 0 where there is none."""
        try:
            with self.folder.metrics.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
                lines = file.read().decode(errors="replace").split("\n")
            epoch = float(lines[-2].split(",")[1])
        except (OSError, IndexError, ValueError):
            return 0.0
        return min(epoch / self.config.runtime.epochs, 1.0)


def runs_of(study: Study, study_dir: str | os.PathLike[str]) -> list[Run]:
    """All runs, seed by seed, so that the rows can be compared as early as possible.

    Raises:
        UserError: A row asks for data that are not to be had.
    """
    costs = {row.name: _cost(row) for row in study.rows}
    # The same for all: TensorBoard's HParams tab takes the columns of any one of them.
    columns = ("seed", *differing_settings([row.config for row in study.rows]))
    runs = []
    for seed in study.seeds:
        for row in study.rows:
            folder = run_folder(study_dir, row.name, seed)
            config = row.config.replacing(seed=seed, output_dir=str(folder.path), hparams=columns)
            runs.append(Run(row, seed, config, folder, costs[row.name]))
    return runs


def _cost(row: Row) -> Cost:
    try:
        return cost_of(row.config)
    except UserError as error:
        raise UserError(f"row {row.name!r}: {error}") from error


def check_study_folder(study_dir: str | os.PathLike[str], study: Study) -> None:
    """Refuses a folder that is not this study's. Rows and seeds may have been added, but no row changed or dropped.

    Raises:
        UserError: A file, a folder of something else, or of a study with other rows.
    """
    path = Path(study_dir)
    with naming_failures(path):
        if path.exists() and not path.is_dir():
            raise UserError(f"--output_dir={path}: it is a file. Give a folder.")
        holds_study = (path / FILE_NAME).exists()
        if path.is_dir() and not holds_study and any(not p.name.startswith(".") for p in path.iterdir()):
            raise UserError(f"--output_dir={path} holds files but no study. Choose an empty or new folder.")
    if not holds_study:
        return
    rows = {row.name: row for row in study.rows}
    for old in read_study(path).rows:
        if not (path / old.name).exists():
            continue
        if old.name not in rows:
            raise UserError(
                f"--output_dir={path} holds another study: its row {old.name!r} is not in this one. Choose another "
                f"--output_dir, or delete {path / old.name}."
            )
        differences = [d for d in deciding_differences(old.config, rows[old.name].config) if d[0] != "seed"]
        if differences:
            shown = "; ".join(f"--{name}: {there} there, {here} now" for name, there, here in differences)
            raise UserError(
                f"--output_dir={path} holds another study: its row {old.name!r} has other settings ({shown}). Choose "
                f"another --output_dir, or delete {path / old.name} to run the row anew."
            )
