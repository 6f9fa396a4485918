"""Real processes of the command: started, watched through the files they write, signalled, and never left behind."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import psutil

from tests.command import TINY, Ended

ROOT = Path(__file__).parents[2]
SLOW = 300.0
"""Seconds for a whole short process on a busy machine: longer is a hang."""

_POLL_SECONDS = 0.002
_PR_CAPBSET_DROP = 24  # of <linux/prctl.h>
_CAP_DAC_OVERRIDE = 1  # of <linux/capability.h>


def until(condition: Callable[[], Any], seconds: float = SLOW, what: str = "") -> float:
    """Waits for a condition; returns the seconds it took.

    Raises:
        AssertionError: It did not come in time.
    """
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what or condition}")
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - started


def rows(folder: Path) -> int:
    """Complete rows of a run's metrics.csv; 0 while there is none."""
    try:
        return max(0, (folder / "metrics.csv").read_bytes().count(b"\n") - 1)
    except FileNotFoundError:
        return 0


def events(folder: Path) -> int:
    """How often a run has been started: event files in its summaries' root."""
    return len(list((folder / "summaries").glob("events.out.tfevents.*")))


def bound_by_permissions() -> None:
    """In a new process of root's: permissions of files count as for anybody else."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


class Process:
    """A run of the command on the tiny setting, ended with the block it is used in.

    Args:
        folder: --output_dir.
        arguments: Further flags; later ones win.
        launcher: Flags of launch_local, under which it then runs.
        environment: Added to this process'.
        before: Called in the new process before the command.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        launcher: tuple[str, ...] | None = None,
        environment: dict[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ):
        self.folder = folder
        module = ["tf_fullbatch.main"] if launcher is None else ["tf_fullbatch.launch_local", *launcher, "--"]
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._scratch = tempfile.TemporaryDirectory()  # a killed process leaves its temporary files
        self._process = subprocess.Popen(
            [sys.executable, "-m", *module, *TINY, "--deterministic", f"--output_dir={folder}", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "TMPDIR": self._scratch.name,
                **(environment or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            start_new_session=True,
            preexec_fn=before,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        self._process.kill()
        self._process.wait()
        self._out.close()
        self._err.close()
        self._scratch.cleanup()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def err(self) -> str:
        """What it has written to standard error so far."""
        return os.pread(self._err.fileno(), 1 << 20, 0).decode(errors="replace")

    def workers(self) -> list[psutil.Process]:
        """The launcher's workers, in the order of their places."""
        found = psutil.Process(self._process.pid).children()
        return sorted(found, key=lambda p: int(re.findall(r'"index": (\d+)', p.environ()["TF_CONFIG"])[0]))

    def send(self, number: int) -> None:
        """Sends a signal; says so where the process is gone already."""
        assert self.running, f"ended by itself with {self._process.returncode}:\n{self.err}"
        self._process.send_signal(number)

    def pause(self) -> None:
        """SIGSTOP, and waits until it has stopped."""
        self.send(signal.SIGSTOP)
        until(lambda: psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED, 10.0)

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone."""
        self.send(signal.SIGKILL)
        self._process.wait()

    def reach(self, count: int) -> None:
        """Waits until metrics.csv has so many rows."""
        self.see(lambda: rows(self.folder) >= count, f"{count} rows")

    def see(self, condition: Callable[[], Any], what: str, seconds: float = SLOW) -> None:
        """Waits for something that the process brings about."""
        until(lambda: condition() or not self.running, seconds, what)
        assert self.running or condition(), f"ended before {what}:\n{self.err}"

    def end(self, seconds: float = SLOW) -> Ended:
        """Waits for its end by itself."""
        code = self._process.wait(timeout=seconds)
        return Ended(code, os.pread(self._out.fileno(), 1 << 20, 0).decode(), self.err)


def finish(folder: Path, *arguments: str, **options: Any) -> Ended:
    """Runs the command to its end."""
    with Process(folder, *arguments, **options) as process:
        return process.end()


def two_at_a_time(function: Callable[[Any], Any], cases: Iterable[Any]) -> Iterator[Any]:
    """`map` in two threads: a run's process is busy on one core for most of its time."""
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(function, list(cases))
