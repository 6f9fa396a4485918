"""Runs the runs of a study, each in a process of its own, so that none is in another's way."""

import contextlib
import math
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tf_fullbatch import processor
from tf_fullbatch.config import cli_flags
from tf_fullbatch.display.text import format_duration, format_percentage, loss_texts
from tf_fullbatch.errors import RunInterruptedError, UserError
from tf_fullbatch.records.columns import EVALUATION_COLUMNS
from tf_fullbatch.records.files import os_errors_as_user_errors
from tf_fullbatch.records.run_log import note_duration
from tf_fullbatch.records.tables import read_table
from tf_fullbatch.run import interruption, processes
from tf_fullbatch.studies.planned_runs import Run
from tf_fullbatch.studies.progress import StudyProgress

_POLL_SECONDS = 0.2
_SAVE_SECONDS = 60.0
"""From a passed-on signal to SIGKILL: runs finish a call and save."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that did not complete.

    Attributes:
        run: The run.
        code: Its process' exit code.
        reason: The error it ended with.
    """

    run: Run
    code: int
    reason: str


class StudyExecution:
    """Starts runs, some of them side by side, and waits for them.

    Args:
        runs: In the order in which they are started; those that are finished are passed over.
        jobs: Runs side by side.
        progress: Is told what happens.
        on_end: Is called when a run has ended, however it did.
        is_wanted: Whether a run is still to be made; asked when its turn comes.

    Attributes:
        failures: The runs that failed so far.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        jobs: int,
        progress: StudyProgress,
        on_end: Callable[[], None] = lambda: None,
        is_wanted: Callable[[Run], bool] = lambda run: True,
    ):
        self.failures: list[Failure] = []
        self._is_wanted = is_wanted
        self._runs = list(runs)
        self._jobs = jobs
        self._progress = progress
        self._on_end = on_end
        self._active: dict[int, _Active] = {}
        self._signal: signal.Signals | None = None
        self._stop_at = float("inf")

    def execute(self) -> None:
        """Runs what is not finished yet.

        Raises:
            RunInterruptedError: A signal came; the runs under way saved their last completed step.
        """
        with contextlib.closing(self._progress), interruption.handled_by(self._on_signal):
            left = self._unfinished()
            self._jobs = max(1, min(self._jobs, len(left)))
            try:
                self._work_off(deque(left))
            finally:
                for active in self._active.values():
                    active.process.terminate()
        if self._signal is not None:
            raise RunInterruptedError(
                self._signal.name,
                "runs under way kept their last completed step; the same command goes on from there",
            )

    def _unfinished(self) -> list[Run]:
        left = [run for run in self._runs if not run.is_finished()]
        if len(left) < len(self._runs):
            self._progress.message(
                f"{len(self._runs) - len(left)} of {len(self._runs)} runs are finished already."
            )
        return left

    def _work_off(self, waiting: deque[Run]) -> None:
        while self._active or (waiting and self._signal is None):
            for slot in range(self._jobs):
                while waiting and not self._is_wanted(waiting[0]):
                    self._progress.give_up(waiting.popleft())
                if slot not in self._active and waiting and self._signal is None:
                    self._start(waiting.popleft(), slot)
            for slot, active in list(self._active.items()):
                if active.process.poll() is not None:
                    del self._active[slot]
                    self._note_end(active)
                    self._on_end()
                elif time.monotonic() > self._stop_at:
                    active.process.kill()
            self._progress.update([active.run for active in self._active.values()])
            time.sleep(_POLL_SECONDS)

    def _start(self, run: Run, slot: int) -> None:
        """Starts a run; one that cannot be started is a failure and not in the way of the others."""
        self._progress.begun(run)
        try:
            with os_errors_as_user_errors(run.log):
                run.log.parent.mkdir(parents=True, exist_ok=True)
                with run.log.open("ab") as log:
                    earlier = log.tell()
                    process = processes.start(
                        [*processes.RUN, *cli_flags.arguments(run.config)],
                        environment_of_job(slot, self._jobs, os.environ),
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
        except UserError as error:
            self._fail(run, error.outcome.exit_code, str(error))
            return
        self._active[slot] = _Active(run, process, time.monotonic(), earlier)
        if self._signal is not None:  # it came meanwhile, and was passed on to the others alone
            process.send_signal(self._signal)

    def _note_end(self, active: "_Active") -> None:
        run, code = active.run, processes.shell_code(active.process.returncode)
        said = run.folder.last_error(active.earlier_log_bytes)
        with contextlib.suppress(UserError):  # what is wrong with the folder is said of the run
            note_duration(run.log, code, time.monotonic() - active.begun)
        if code == 0 or (self._signal is not None and run.is_finished()):
            spent = format_duration(time.monotonic() - active.begun)
            self._progress.ended(run, f"{figures_text(run)} in {spent}")
        elif self._signal is not None:
            killed = code == processes.shell_code(-signal.SIGKILL)
            self._progress.ended(run, "killed; its last checkpoint is kept" if killed else "interrupted")
        else:
            self._fail(run, code, said or f"it did not say why; {run.log} has all it said")

    def _fail(self, run: Run, code: int, reason: str) -> None:
        self.failures.append(Failure(run, code, reason))
        self._progress.ended(run, f"failed with exit code {code} ({reason.rstrip('.')})", failed=True)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            self._stop_at = 0.0  # a second one: at once
        else:
            self._signal, self._stop_at = signal.Signals(number), time.monotonic() + _SAVE_SECONDS
        for active in list(self._active.values()):
            if active.process.poll() is None:
                active.process.send_signal(number)


@dataclass(frozen=True, slots=True)
class _Active:
    """A run under way; its log may have begun with what earlier processes wrote."""

    run: Run
    process: subprocess.Popen
    begun: float
    earlier_log_bytes: int


def environment_of_job(slot: int, jobs: int, environment: Mapping[str, str]) -> dict[str, str]:
    """What is added to the environment of a run in place `slot` of `jobs` side by side.

    The devices that CUDA_VISIBLE_DEVICES names are dealt out where there are at least as many as jobs; runs that
    share one take its memory as they need it. The cores are shared evenly. Settings that are there already stay.
    """
    if jobs == 1:
        return {}
    threads = str(max(1, processor.cores() // jobs))
    added = {
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_NUM_INTRAOP_THREADS": threads,
        "OMP_NUM_THREADS": threads,
    }
    added = {name: value for name, value in added.items() if name not in environment}
    devices = [
        name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name not in ("", "-1")
    ]
    if len(devices) >= jobs:
        added["CUDA_VISIBLE_DEVICES"] = ",".join(devices[slot::jobs])
    return added


def figures_text(run: Run) -> str:
    """The last accuracies of a finished run in words, losses where there are none."""
    try:
        table = read_table(run.folder.evaluations, EVALUATION_COLUMNS)
    except UserError:  # the report says more about it
        return "done"
    raw = table[table["weights"] == "raw"].drop_duplicates("split", keep="last")
    return ", ".join(f"{row['split']} {_figure_text(row)}" for row in raw.to_dict("records")) or "done"


def _figure_text(row: Mapping[Any, Any]) -> str:
    """Of an evaluation the accuracy, else the cross-entropy or objective."""
    there = {
        name: row[name] for name in ("accuracy", "cross_entropy", "loss") if math.isfinite(float(row[name]))
    }
    if "accuracy" in there:
        return f"accuracy {format_percentage(there['accuracy'])}"
    return next(iter(loss_texts(there, ".4g")), "loss not finite")
