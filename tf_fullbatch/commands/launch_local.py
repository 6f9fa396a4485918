"""The command `python -m tf_fullbatch.launch_local`: several workers of one run, as processes of this machine.

Each worker is `python -m tf_fullbatch.main` with the same flags and a TF_CONFIG of its own. Signals are passed
on to all of them, and where one fails the others are ended; the launcher returns what the first one returned.
"""

import dataclasses
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import IO

from tf_fullbatch.commands import console
from tf_fullbatch.errors import UserError
from tf_fullbatch.run import interruption, processes
from tf_fullbatch.run.local_cluster import cluster_configs, free_ports
from tf_fullbatch.settings import flag_parsing
from tf_fullbatch.settings.fields import check_ranges, setting

_POLL_SECONDS = 0.1
_TERMINATE_SECONDS = 8.0
"""From the first failure to SIGKILL for those still running."""
_SAVE_SECONDS = 60.0
"""The same after a signal that was passed on, when workers still write their checkpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The launcher's own settings."""

    workers: int = setting(2, "Processes, each a worker of one tf.distribute cluster.", minimum=1)

    def __post_init__(self) -> None:
        check_ranges(self)


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code: 0, or that of the first worker that failed."""
    none_started = "interrupted before the workers were started"
    return console.exit_code(argv, _parse, _help_text, Launcher.run, none_started)


def _parse(argv: Sequence[str]) -> "Launcher | None":
    own, separator, passed_on = _split(argv)
    values = flag_parsing.parse(own, dataclasses.fields(Options))
    if values is None:
        return None
    if not separator:
        raise UserError("the flags of the run come after --: launch_local --workers=2 -- --flagfile=FILE.")
    return Launcher(Options(**values).workers, [*processes.RUN, *passed_on])


class Launcher:
    """Starts workers, watches them, and ends them together.

    Args:
        workers: How many.
        command: What each of them runs, with a TF_CONFIG of its own.
    """

    def __init__(self, workers: int, command: Sequence[str]):
        self._count = workers
        self._command = list(command)
        self._processes: list[subprocess.Popen] = []
        self._printers: list[threading.Thread] = []
        self._signalled = False

    def run(self) -> int:
        """Runs the workers to their end; the exit code of the first that failed, 0 where none did."""
        with interruption.handled_by(self._pass_on):
            try:
                self._start()
                return self._wait()
            finally:
                self._kill_all()

    def _start(self) -> None:
        for index, config in enumerate(cluster_configs(free_ports(self._count))):
            process = processes.start(
                self._command,
                {"TF_CONFIG": config},
                stdout=None if index == 0 else subprocess.PIPE,
                stderr=None if index == 0 else subprocess.STDOUT,
            )
            self._processes.append(process)
            if process.stdout is not None:
                printer = threading.Thread(target=_print_lines, args=(process.stdout, index), daemon=True)
                printer.start()
                self._printers.append(printer)

    def _wait(self) -> int:
        code = 0
        deadline = float("inf")
        while None in (codes := [process.poll() for process in self._processes]):
            failed = [returned for returned in codes if returned]
            if failed and not code:
                code = processes.shell_code(failed[0])
                deadline = time.monotonic() + (_SAVE_SECONDS if self._signalled else _TERMINATE_SECONDS)
                if not self._signalled:
                    self._send_all(signal.SIGTERM)
            if time.monotonic() > deadline:
                self._kill_all()
            time.sleep(_POLL_SECONDS)
        for printer in self._printers:
            printer.join()
        return code or next((processes.shell_code(p.returncode) for p in self._processes if p.returncode), 0)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True
        self._send_all(number)

    def _send_all(self, number: int) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    def _kill_all(self) -> None:
        self._send_all(signal.SIGKILL)


def _split(argv: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """(before `--`, whether there is one, after it)."""
    arguments = list(argv)
    if "--" not in arguments:
        return arguments, False, []
    place = arguments.index("--")
    return arguments[:place], True, arguments[place + 1 :]


def _print_lines(stream: IO[bytes], index: int) -> None:
    for line in stream:
        sys.stderr.write(f"worker {index}: {line.decode(errors='replace')}")
        sys.stderr.flush()


def _help_text() -> str:
    lines = [
        "usage: python -m tf_fullbatch.launch_local [--workers=2] -- [--flagfile=FILE] [--name=value ...]",
        "",
    ]
    lines += [
        "Runs python -m tf_fullbatch.main with the flags after -- as several workers on this machine.",
        "",
    ]
    return "\n".join(
        lines + [line for field in dataclasses.fields(Options) for line in flag_parsing.help_lines(field)]
    )
