"""--suite=pytorch: this package's `fit` beside plain PyTorch, processes in turn."""

import dataclasses
from typing import Any

from tf_fullbatch.benchmark import fresh_process, small_suite, timing
from tf_fullbatch.benchmark.comparisons import PYTORCH, Workload
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.timing import Passes, Progress
from tf_fullbatch.errors import UserError


def measure(options: Options, progress: Progress) -> list[dict[str, Any]]:
    """The rows asked for, see `small_suite.result`, with what each side's process said last.

    Raises:
        RunError: A process failed.
        UserError: The two networks differ in their number of parameters.
    """
    assert options.torch_python is not None
    rows = []
    for name, comparison in PYTORCH.items():
        if options.rows and name not in options.rows:
            continue
        progress(f"{name}: {comparison.work}")
        said: dict[str, dict[str, Any]] = {}
        in_turn = {
            small_suite.OURS: _ours(comparison.work, options.seconds, said),
            "PyTorch": _theirs(comparison.work, options.seconds, options.torch_python, said),
        }
        timings = timing.measure(in_turn, options.repeats, progress, warm_up=False)
        counts = {side: result["parameters"] for side, result in said.items()}
        if len(set(counts.values())) > 1:
            folder = fresh_process.PYTORCH_SCRIPT.parent
            raise UserError(f"{name}: the networks differ, parameters are {counts}: correct {folder}.")
        rows.append(small_suite.result(name, comparison, timing.seconds_of(timings)) | {"processes": said})
    return rows


def _ours(work: Workload, seconds: float, said: dict[str, dict[str, Any]]) -> Passes:
    def run(passes: int) -> float:
        arguments = {"seconds": seconds, **dataclasses.asdict(work)}
        said[small_suite.OURS] = fresh_process.call("passes", arguments)
        return said[small_suite.OURS]["seconds"] * passes

    return run


def _theirs(work: Workload, seconds: float, python: str, said: dict[str, dict[str, Any]]) -> Passes:
    def run(passes: int) -> float:
        said["PyTorch"] = fresh_process.call_pytorch(python, work, {"seconds": seconds})
        return said["PyTorch"]["seconds"] * passes

    return run
