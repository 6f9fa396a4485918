"""The runs of a study: what each is, where it is kept, and how far it has come."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_fullbatch.config.run import Config, differing_settings, result_differences
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.checkpoints import load_latest
from tf_fullbatch.records.files import os_errors_as_user_errors
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.study_file import FILE_NAME, Arm, Study, folder_of, read_study
from tf_fullbatch.records.tables import last_row
from tf_fullbatch.run.output_dir import finished_summary
from tf_fullbatch.studies.cost import Cost, cost_of


@dataclass(frozen=True, slots=True)
class Run:
    """One arm with one seed.

    Attributes:
        arm: The arm.
        seed: The seed.
        config: Its settings, whole.
        folder: Where it is kept.
        cost: What it costs from beginning to end.
    """

    arm: Arm
    seed: int
    config: Config
    folder: RunFolder
    cost: Cost

    def __str__(self) -> str:
        return f"{self.arm.name}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """What its process printed."""
        return self.folder.log

    def is_finished(self) -> bool:
        """Whether it has all its epochs; a run whose files are damaged is not, and says so when it is started."""
        try:
            checkpoint, _ = load_latest(self.folder.checkpoints, arrays=False)
            finished = finished_summary(self.folder, self.config, checkpoint)
            return finished is not None and self.folder.config.exists()
        except UserError:
            return False

    def fraction(self) -> float:
        """The share of its passes that are done."""
        return min(last_epoch(self.folder) / self.config.runtime.epochs, 1.0)


def last_epoch(folder: RunFolder) -> float:
    """Passes that a run has, from the last whole row of metrics.csv; 0 where there is none."""
    try:
        return float(last_row(folder.metrics)["epoch"])
    except (KeyError, ValueError):
        return 0.0


def runs_of(study: Study, study_dir: str | os.PathLike[str]) -> list[Run]:
    """All runs, seed by seed, so that the arms can be compared as early as possible.

    Raises:
        UserError: An arm asks for data that are not to be had.
    """
    costs = {arm.name: _cost(arm) for arm in study.arms}
    # The same for all: TensorBoard's HParams tab takes the columns of any one of them.
    columns = ("seed", *differing_settings([arm.config for arm in study.arms]))
    runs = []
    for seed in study.seeds:
        for arm in study.arms:
            folder = folder_of(study_dir, arm.name, seed)
            config = arm.config.replacing(seed=seed, output_dir=str(folder.path), hparams=columns)
            runs.append(Run(arm, seed, config, folder, costs[arm.name]))
    return runs


def _cost(arm: Arm) -> Cost:
    weights = arm.config.model.initial_weights
    if weights is not None and not Path(weights).exists():
        raise UserError(
            f"arm {arm.name!r}: --initial_weights={weights}: there is no such file or folder. Give a run folder, "
            ".keras or .weights.h5."
        )
    try:
        return cost_of(arm.config)
    except UserError as error:
        raise UserError(f"arm {arm.name!r}: {error}") from error


def check_study_folder(study_dir: str | os.PathLike[str], study: Study) -> None:
    """Refuses a folder that is not this study's. Arms, seeds and passes may have been added, but none taken away.

    Raises:
        UserError: A file, a folder of something else, or of a study with other arms, more seeds or more passes.
    """
    path = Path(study_dir)
    with os_errors_as_user_errors(path):
        if path.exists() and not path.is_dir():
            raise UserError(f"--output_dir={path}: it is a file. Give a folder.")
        holds_study = (path / FILE_NAME).exists()
        if path.is_dir() and not holds_study and any(not p.name.startswith(".") for p in path.iterdir()):
            raise UserError(f"--output_dir={path} holds files but no study. Choose an empty or new folder.")
    if not holds_study:
        return
    arms = {arm.name: arm for arm in study.arms}
    old = read_study(path)
    for arm in old.arms:
        if (path / arm.name).exists():
            _check_arm(path, arm, arms.get(arm.name))
    for arm in study.arms:
        for seed in dict.fromkeys((*old.seeds, *study.seeds)):
            _check_run(path, arm, seed, study.seeds)


def _check_arm(path: Path, old: Arm, new: Arm | None) -> None:
    """Refuses an arm that was begun and is not in the study any more, or has other settings there."""
    if new is None:
        raise UserError(
            f"--output_dir={path} holds another study: its arm {old.name!r} is not in this one. Choose another "
            f"--output_dir, or delete {path / old.name}."
        )
    differences = [d for d in result_differences(old.config, new.config) if d[0] != "seed"]
    if differences:
        shown = "; ".join(f"--{name}: {there} there, {here} now" for name, there, here in differences)
        raise UserError(
            f"--output_dir={path} holds another study: its arm {old.name!r} has other settings ({shown}). Choose "
            f"another --output_dir, or delete {path / old.name} to run the arm anew."
        )


def _check_run(path: Path, arm: Arm, seed: int, seeds: Sequence[int]) -> None:
    """Refuses a run that is there and would be left out, or be shown as shorter than it is."""
    folder = folder_of(path, arm.name, seed)
    if not folder.path.exists():
        return
    if seed not in seeds:
        raise UserError(
            f"--seeds={','.join(map(str, seeds))}: {folder.path} is there, of another seed. Name all seeds, so that "
            "none is left out after it was seen, or delete their folders."
        )
    done, asked = last_epoch(folder), arm.config.runtime.epochs
    if done > asked:
        raise UserError(
            f"arm {arm.name!r}: --epochs={asked}, but the run in {folder.path} has {done:g} passes already. Ask for "
            "as many, or choose another --output_dir."
        )
