"""Runs the command many times in a process that cannot import TensorFlow or Keras.

`python -m tests.house.without_tensorflow` reads a JSON list of argument lists from standard input, and prints a JSON
list of `CommandEnd`s.
"""

import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from typing import NamedTuple

SLOW = ("tensorflow", "keras", "tensorflow_datasets")


class CommandEnd(NamedTuple):
    """How a command ended, and the seconds of CPU time it takes, the start of Python and its imports included."""

    code: int
    out: str
    err: str
    cpu_seconds: float


class Blocker(MetaPathFinder):
    """Refuses the slow packages, with an exception that nothing takes for a missing one."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Called for every import that is not yet in `sys.modules`."""
        if fullname.partition(".")[0] in SLOW:
            raise AssertionError(f"{fullname} was imported")


def run_all(commands: Sequence[Sequence[str]]) -> list[CommandEnd]:
    """Runs `python -m tf_fullbatch.main` with each list of arguments, all of them in one fresh process."""
    started = subprocess.run(
        [sys.executable, "-m", "tests.house.without_tensorflow"],
        input=json.dumps([list(arguments) for arguments in commands]),
        capture_output=True,
        text=True,
        check=False,
    )
    if started.returncode != 0:
        raise AssertionError(started.stderr)
    return [CommandEnd(*end) for end in json.loads(started.stdout)]


def _run(arguments: Sequence[str], start_seconds: float) -> CommandEnd:
    from tf_fullbatch.commands.train import main

    out, err = io.StringIO(), io.StringIO()
    before = time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(["main", *arguments])
        except AssertionError as error:
            code = -1
            print(error, file=err)
    return CommandEnd(code, out.getvalue(), err.getvalue(), start_seconds + time.process_time() - before)


def _main() -> None:
    import tf_fullbatch.commands.train  # noqa: F401, what every command imports

    start_seconds = time.process_time()  # since the process was started
    print(json.dumps([_run(arguments, start_seconds) for arguments in json.load(sys.stdin)]))


if __name__ == "__main__":
    sys.meta_path.insert(0, Blocker())
    _main()
