"""Measurements in processes of their own.

`python -m tf_fullbatch.benchmark.fresh_process KIND JSON` is such a process; it prints one line of JSON.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tf_fullbatch.errors import RunError


def call(
    kind: str,
    arguments: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """What a measurement returns, made in a fresh process.

    Args:
        kind: A key of `in_process.KINDS`.
        arguments: Its arguments, as JSON can hold them.
        environment: Variables set beside this process' own.
        timeout: Seconds after which the process and its children are ended.

    Raises:
        RunError: The process failed.
        subprocess.TimeoutExpired: It took too long.
    """
    command = [sys.executable, "-m", "tf_fullbatch.benchmark.fresh_process", kind, json.dumps(arguments)]
    return last_line(command, f"the process for {kind} with {json.dumps(arguments)}", environment, timeout)


def last_line(
    command: Sequence[str],
    what: str,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """The last line that a command prints, which is JSON; `what` names it where it fails. See `call`."""
    with subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, so that its children end with it
    ) as process:
        try:
            printed, said = process.communicate(timeout=timeout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    try:
        if process.returncode == 0:
            return json.loads(printed.strip().splitlines()[-1])
        reason = (said.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
    except (IndexError, ValueError):
        reason = "it printed no JSON"
    raise RunError(f"{what} failed: {reason}")


def main(argv: Sequence[str]) -> None:
    """Runs one measurement and prints its result."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tf_fullbatch.benchmark.in_process import KINDS  # TensorFlow

    print(json.dumps(KINDS[argv[1]](**json.loads(argv[2]))))


if __name__ == "__main__":
    main(sys.argv)
