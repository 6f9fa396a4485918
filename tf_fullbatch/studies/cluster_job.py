"""What a job of a cluster does: one run, which keeps its last completed step when the job is preempted."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tf_fullbatch.errors import Outcome
from tf_fullbatch.records.run_log import note_duration
from tf_fullbatch.run import processes

if TYPE_CHECKING:
    import submitit

_SAVE_SECONDS = 60.0
"""From the notice of a preemption to SIGKILL: runs finish a call and save. submitit asks for 90 s of notice."""
_POLL_SECONDS = 0.2


class RunJob:
    """Runs `tf_fullbatch.main` in a process of its own, and is put into the queue again where it is interrupted.

    Preemption and the end of the job's time arrive as submitit's signal: it calls `checkpoint`, and requeues what that
    returns. Where the system told the run alone (SIGTERM to all processes of a job), the job asks for the same.

    Args:
        arguments: The run's flags.
        log: What the run prints is added to this file.
    """

    def __init__(self, arguments: tuple[str, ...], log: Path):
        self._arguments, self._log = arguments, log
        self._process: subprocess.Popen | None = None
        self._begun = 0.0

    def __call__(self) -> int:
        """The run's exit code."""
        self._begun = time.monotonic()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = processes.start(
                [*processes.RUN, *self._arguments],
                {},
                stdout=log,
                stderr=subprocess.STDOUT,
                ignored=(_notice(),),  # a cluster may send it to all processes of a job
            )
        while self._process.poll() is None:  # no wait(), which `checkpoint` could not be called within
            time.sleep(_POLL_SECONDS)
        code = processes.shell_code(self._process.returncode)
        note_duration(self._log, code, time.monotonic() - self._begun)
        if code == Outcome.INTERRUPTED.exit_code and callable(signal.getsignal(_notice())):
            os.kill(os.getpid(), _notice())
            time.sleep(_POLL_SECONDS)  # the handler ends this process
        return code

    def checkpoint(self) -> "submitit.helpers.DelayedSubmission":
        """Has the run save, and returns what goes on with it."""
        import submitit

        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            stop_at = time.monotonic() + _SAVE_SECONDS
            while _lives(process.pid):
                if time.monotonic() > stop_at:
                    process.kill()
                time.sleep(_POLL_SECONDS)
            note_duration(self._log, Outcome.INTERRUPTED.exit_code, time.monotonic() - self._begun)
        return submitit.helpers.DelayedSubmission(RunJob(self._arguments, self._log))


def _notice() -> signal.Signals:
    """submitit's signal."""
    return signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]


def _lives(pid: int) -> bool:
    """Whether a child runs; it is not waited for, which may be under way where a signal came."""
    with contextlib.suppress(ChildProcessError):
        if sys.platform != "win32":
            return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None
    return False
