"""The runs of a study: what each is, where it is kept, and how far it has come."""

import os
from dataclasses import dataclass
from pathlib import Path

from tf_fullbatch.config.run import FILE_SETTINGS, Config
from tf_fullbatch.display.loggers.registry import check_installed
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.checkpoints import load_latest
from tf_fullbatch.records.columns import STEP_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.study_file import Arm, Study, folder_of
from tf_fullbatch.records.summary import ended_before_its_passes, read_summary
from tf_fullbatch.records.tables import last_row, read_table
from tf_fullbatch.run.output_dir import finished_summary
from tf_fullbatch.settings import own_parts, part_names
from tf_fullbatch.studies.cost import Cost, cost_of
from tf_fullbatch.studies.sweeps import Point, point_text


@dataclass(frozen=True, slots=True)
class Run:
    """One arm with one seed, or a trial of its sweep.

    Attributes:
        arm: The arm.
        seed: The seed.
        config: Its settings, whole.
        folder: Where it is kept.
        cost: What it costs from beginning to end.
        point: Of a trial, what is tried; else empty.
    """

    arm: Arm
    seed: int
    config: Config
    folder: RunFolder
    cost: Cost
    point: Point = ()

    def __str__(self) -> str:
        return f"{self.arm.name}, {point_text(self.point) or f'seed {self.seed}'}"

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
        """The share of it that is done: of its passes, or of its goal of gradient evaluations where that is the larger
        one; all of a run that ended before its passes, as it should."""
        done = min(last_epoch(self.folder) / self.config.total_epochs, 1.0)
        if not 0 < done < 1:
            return done
        return 1.0 if self._ended_early() else max(done, self._of_its_goal())

    def _of_its_goal(self) -> float:
        """The share of its goal of gradient evaluations that is spent; 0 without one."""
        goal = self.config.runtime.stop_after_evaluations
        if not goal:
            return 0.0
        try:
            steps = read_table(
                self.folder.metrics, STEP_COLUMNS, ("epoch", "gradient_evaluations"), as_floats=True
            )
        except UserError:
            return 0.0
        before = steps["epoch"].shift(fill_value=0.0)
        return min(float((steps["gradient_evaluations"] * (steps["epoch"] - before)).sum()) / goal, 1.0)

    def _ended_early(self) -> bool:
        if not self.folder.summary.exists():
            return False
        try:
            summary = read_summary(self.folder.summary)
        except UserError:
            return False
        is_last = str(summary["steps"]) == last_row(self.folder.metrics).get("step")
        return is_last and ended_before_its_passes(summary, self.config.runtime.goals)


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
    costs = {arm.name: checked_cost(arm, arm.config) for arm in study.arms}
    runs = []
    for seed in study.seeds:
        for arm in study.arms:
            folder = folder_of(study_dir, arm.name, seed)
            config = arm.config.replacing(seed=seed, output_dir=str(folder.path))
            runs.append(Run(arm, seed, config, folder, costs[arm.name]))
    return runs


def checked_cost(arm: Arm, config: Config) -> Cost:
    """What a run of an arm with these settings costs.

    Raises:
        UserError: It asks for weights, code or data that are not to be had.
    """
    weights = config.model.initial_weights
    if weights is not None and not Path(weights).exists():
        raise UserError(
            f"arm {arm.name!r}: --initial_weights={weights}: there is no such file or folder. Give a run folder, "
            ".keras or .weights.h5."
        )
    try:
        _check_parts(config)
        check_installed(config.runtime.loggers)
        return cost_of(config)
    except UserError as error:
        raise UserError(f"arm {arm.name!r}: {error}") from error


def _check_parts(config: Config) -> None:
    """Refuses code that is not there, and objects: a run is a process of its own. Runs none of it."""
    values = config.values()
    for name in FILE_SETTINGS:
        value = values[name]
        if part_names.is_object(value):
            raise UserError(
                f"--{name}={value} stands for an object of a Python program, but the runs of a study are processes of "
                "their own: give FILE.py:function or package.module:function."
            )
        if part_names.is_users_code(value):
            own_parts.file_of(name, value)
