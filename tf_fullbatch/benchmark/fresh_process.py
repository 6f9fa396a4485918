"""Measurements in processes of their own.

`python -m tf_fullbatch.benchmark.fresh_process KIND JSON` is such a process; it prints one line of JSON.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tf_fullbatch.benchmark.comparisons import Workload
from tf_fullbatch.errors import RunError

PYTORCH_SCRIPT = Path(__file__).parent / "pytorch" / "loops.py"


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
    return _last_line(command(kind, arguments), f"{kind} in a process of its own", environment, timeout)


def command(kind: str, arguments: Mapping[str, Any]) -> list[str]:
    """The command that makes a measurement, see `call`."""
    return [sys.executable, "-m", "tf_fullbatch.benchmark.fresh_process", kind, json.dumps(arguments)]


def call_pytorch(
    python: str, work: Workload, flags: Mapping[str, Any], timeout: float | None = None
) -> dict[str, Any]:
    """What the PyTorch script says of a workload.

    Args:
        python: An interpreter that has PyTorch.
        work: What the passes are over.
        flags: Further flags of the script.
        timeout: See `call`, as for what is raised.
    """
    given = {
        name: value for name, value in {**dataclasses.asdict(work), **flags}.items() if value is not None
    }
    words = [python, str(PYTORCH_SCRIPT), *(f"--{name}={value}" for name, value in given.items())]
    return _last_line(words, " ".join(words), None, timeout)


def _last_line(
    words: Sequence[str], what: str, environment: Mapping[str, str] | None, timeout: float | None
) -> dict[str, Any]:
    """The last line that a command of such words prints, which is JSON; `what` names it where it fails. See `call`."""
    with subprocess.Popen(
        words,
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
