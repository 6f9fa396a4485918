"""How long the runs of a study take: from those that are finished, or from a calibration of seconds."""

import math
import os
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.comparing import compared_settings
from tf_fullbatch.config.run import Config
from tf_fullbatch.config.runtime import GOALS
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.run_log import seconds_in_log
from tf_fullbatch.records.tables import last_row, read_table
from tf_fullbatch.run import processes
from tf_fullbatch.studies.execution import environment_of_job
from tf_fullbatch.studies.planned_runs import Run

if TYPE_CHECKING:
    import pandas as pd

CALIBRATION_SECONDS = 4.0
"""How long a kind of run is watched after its first step."""
_LONGEST_STEP_SECONDS = 120.0
"""How long a first step is waited for."""
_POLL_SECONDS = 0.05

SAME_PACE = (
    *GOALS, "seed", "epochs", "schedule_epochs", "warmup_epochs", "schedule", "learning_rate", "learning_rate_scaling",
    "decay_epochs", "decay_factor", "momentum", "nesterov", "weight_decay", "label_smoothing", "penalty_strength",
    "penalty_epsilon", "penalty_warmup_epochs",
)  # fmt: skip
"""Settings whose values change what is learned, and not how long a step takes."""

Kind = tuple[object, ...]
"""What runs of one pace have in common."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast runs of one kind are.

    Attributes:
        beside: Seconds that do not grow with the passes: start, data, compiling, what is saved at the end.
        per_pass: Seconds per pass over the training set.
        per_evaluation: Seconds per evaluation.
        spent: Gradient evaluations of a sample per pass.
    """

    beside: float
    per_pass: float
    per_evaluation: float
    spent: float = 1.0

    def seconds(self, config: Config) -> float:
        """Of a whole run, which may end by its goal of gradient evaluations."""
        passes, goal = config.total_epochs, config.runtime.stop_after_evaluations
        if goal is not None:
            passes = min(passes, math.ceil(goal / self.spent))
        evaluations = math.ceil(passes / config.runtime.evaluate_every)
        return self.beside + passes * self.per_pass + evaluations * self.per_evaluation


def kind_of(run: Run) -> Kind:
    """What runs of the same pace have in common."""
    settings = compared_settings(run.config)
    return tuple(value for name, value in settings.items() if name not in SAME_PACE)


def pace_of(folder: RunFolder, seconds: float) -> Pace | None:
    """The pace of a run by its records; None where it has too few steps to tell.

    Args:
        folder: The run's.
        seconds: What its process took, from its start to its end.
    """
    try:
        names = ("step", "epoch", "wall_seconds", "gradient_evaluations")
        steps = read_table(folder.metrics, STEP_COLUMNS, names, as_floats=True)
        evaluations = read_table(
            folder.evaluations, EVALUATION_COLUMNS, ("step", "seconds", "samples"), as_floats=True
        )
    except UserError:
        return None
    if len(steps) < 2:
        return None
    rounds = evaluations.groupby("step")["seconds"].sum()
    warm = steps.iloc[(len(steps) - 1) // 2 :]  # the first ones compile, and look for the pace of calls
    first, last = warm.iloc[0], warm.iloc[-1]
    between = rounds[(rounds.index >= first["step"]) & (rounds.index < last["step"])].sum()
    per_pass = max(0.0, last["wall_seconds"] - first["wall_seconds"] - between) / (
        last["epoch"] - first["epoch"]
    )
    per_evaluation = (
        float(rounds.iloc[1:].median()) if len(rounds) > 1 else _seconds_of_the_only_evaluation(evaluations)
    )
    beside = seconds - last["epoch"] * per_pass - len(rounds) * per_evaluation
    spent = float(steps["gradient_evaluations"].mean())
    return Pace(
        beside=max(0.0, beside),
        per_pass=per_pass,
        per_evaluation=per_evaluation,
        spent=spent if spent > 0 else 1.0,
    )


def _seconds_of_the_only_evaluation(evaluations: "pd.DataFrame") -> float:
    """What it would take once it is compiled: all its samples at the pace of the rows after the first, which compiles.

    0 where there is no such row to tell.
    """
    compiled = evaluations.iloc[1:]
    samples = compiled["samples"].sum()
    return float(compiled["seconds"].sum() / samples * evaluations["samples"].sum()) if samples else 0.0


def paces_of_finished(runs: Sequence[Run]) -> dict[Kind, Pace]:
    """The paces of the kinds that have a finished run, the mean over these."""
    found: dict[Kind, list[Pace]] = {}
    for run in runs:
        seconds = seconds_in_log(run.log) if run.is_finished() else None
        pace = None if seconds is None else pace_of(run.folder, seconds)
        if pace is not None:
            found.setdefault(kind_of(run), []).append(pace)
    return {kind: _mean(paces) for kind, paces in found.items()}


def seconds_left(run: Run, paces: Mapping[Kind, Pace]) -> float | None:
    """What a run still takes; None where its pace is not known."""
    if run.is_finished():
        return 0.0
    pace = paces.get(kind_of(run))
    return None if pace is None else pace.seconds(run.config) * (1 - run.fraction())


def side_by_side(seconds: Sequence[float], jobs: int) -> float:
    """How long runs take that are begun in order, so many at a time."""
    free = [0.0] * max(1, jobs)
    for one in seconds:
        free[free.index(min(free))] += one
    return max(free)


def _mean(paces: Sequence[Pace]) -> Pace:
    def mean(name: str) -> float:
        return sum(getattr(pace, name) for pace in paces) / len(paces)

    return Pace(**{one.name: mean(one.name) for one in fields(Pace)})


def calibrated(runs: Sequence[Run], jobs: int) -> dict[Kind, Pace]:
    """Begins one run of each kind for some seconds, in a folder that is thrown away, as many at a time as the study.

    Raises:
        UserError: A run ends by an error.
    """
    firsts = {kind_of(run): run for run in reversed(runs)}
    found: dict[Kind, Pace] = {}
    with tempfile.TemporaryDirectory(prefix="tf_fullbatch-calibration-") as scratch:
        waiting = deque(reversed(firsts.items()))
        jobs = max(1, min(jobs, len(waiting)))
        active: dict[int, _Probe] = {}
        try:
            while waiting or active:
                for slot in range(jobs):
                    if slot not in active and waiting:
                        kind, run = waiting.popleft()
                        active[slot] = _Probe(kind, run, Path(scratch) / str(len(waiting)), slot, jobs)
                for slot, probe in list(active.items()):
                    if probe.has_ended():
                        del active[slot]
                        pace = probe.pace()
                        if pace is not None:
                            found[probe.kind] = pace
                time.sleep(_POLL_SECONDS)
        finally:
            for probe in active.values():
                probe.process.kill()
                probe.process.wait()
    return found


@dataclass(slots=True)
class _Probe:
    """A run of which some seconds are watched."""

    kind: Kind
    run: Run
    path: Path
    slot: int
    jobs: int
    process: subprocess.Popen = field(init=False)
    _folder: RunFolder = field(init=False)
    _begun: float = field(init=False)
    _first_step: float | None = None
    _told: bool = False

    def __post_init__(self) -> None:
        self._folder = RunFolder(self.path)
        config = self.run.config.replacing(output_dir=str(self.path), quiet=True, loggers=())
        self._begun = time.monotonic()
        with self._folder.log.open("wb") as log:
            self.process = processes.start(
                [*processes.RUN, *cli_flags.arguments(config)],
                environment_of_job(self.slot, self.jobs, os.environ),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def has_ended(self) -> bool:
        """Looks after the process; tells it to stop once enough was seen."""
        if self.process.poll() is not None:
            return True
        now = time.monotonic()
        if self._first_step is None and last_row(self._folder.metrics):
            self._first_step = now
        enough = self._first_step is not None and now - self._first_step > CALIBRATION_SECONDS
        if not self._told and (enough or now - self._begun > _LONGEST_STEP_SECONDS):
            self.process.send_signal(signal.SIGTERM)
            self._told = True
        return False

    def pace(self) -> Pace | None:
        """What was seen; None where that were too few steps."""
        said = None if self._told or self.process.returncode == 0 else self._folder.last_error()
        if said is not None:
            raise UserError(f"{self.run}: {said}")
        return pace_of(self._folder, time.monotonic() - self._begun)
