"""Processes that die while saving or pruning; each line of input names one, each line of output says how it ended.

Input: JSON `[folder, action, n]`; the action is "prune" or the step to save. The process ends as a killed one
does at its n-th call that changes or syncs the disk: nothing after it runs. Output: 9 if it got so far, else 0.
"""

import json
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tf_fullbatch.records.checkpoints import prune, save_checkpoint

CALLS = ((os, "fsync mkdir rename replace unlink rmdir"), (pathlib.Path, "rename replace"))


def arm(n: int) -> None:
    """Lets the n-th of the calls, counted from 0, end the process."""
    left = [n]

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            return function(*args, **kwargs)

        return call

    for owner, names in CALLS:
        for name in names.split():
            setattr(owner, name, dying(getattr(owner, name)))


def act(folder: str, action: str) -> None:
    """Prunes, or saves a checkpoint whose metadata say that it was saved again."""
    if action == "prune":
        prune(folder, keep=1)
        return
    step = int(action)
    arrays = {"network/000/conv/kernel": np.full((3, 2), step, np.float32), "step": np.array(step)}
    save_checkpoint(folder, step=step, epoch=step / 2, arrays=arrays, metadata={"best": step, "again": True})


def main() -> None:
    """Forks a process for each line of input."""
    assert "tensorflow" not in sys.modules, "checkpoints need no TensorFlow, and it would not survive a fork"
    for line in sys.stdin:
        folder, action, n = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                arm(n)
                act(folder, action)
                code = 0
            finally:
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
