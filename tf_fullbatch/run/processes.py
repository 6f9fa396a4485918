"""Runs of this package as child processes: started so that nothing outlives its parent, ended with one code."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

RUN = (sys.executable, "-m", "tf_fullbatch.main")
"""The command of a run, without its flags."""

_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


def start(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdout: IO | int | None = None,
    stderr: IO | int | None = None,
    ignored: Sequence[signal.Signals] = (),
) -> subprocess.Popen:
    """Starts a command without standard input.

    It has a session of its own: Ctrl-C at the terminal reaches the parent alone, which passes it on once. Where
    the parent is killed, the system sends it SIGTERM (Linux).

    Args:
        command: Program and arguments.
        environment: Added to this process'.
        stdout: As of `subprocess.Popen`.
        stderr: As of `subprocess.Popen`.
        ignored: Signals that the command does not hear.
    """

    def prepare() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        _end_with_the_parent()

    return subprocess.Popen(
        list(command),
        env={**os.environ, **environment},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        preexec_fn=prepare,
    )


def shell_code(code: int) -> int:
    """An exit code; of a process that a signal ended, what a shell would report."""
    return 128 - code if code < 0 else code


def _end_with_the_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
