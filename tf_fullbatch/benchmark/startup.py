"""What a process needs from its start: seconds to --help and to the first micro-batch, and peak memory by data size."""

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tf_fullbatch.benchmark import fresh_process
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.tables import mebibytes, number
from tf_fullbatch.benchmark.timing import Progress
from tf_fullbatch.display.text import format_table

COMMANDS = ("main", "study", "report", "analyze", "launch_local", "benchmark", "models", "data")
"""What `python -m tf_fullbatch.NAME` runs."""
HELP_COLUMNS = ("command", "s to --help", "least", "largest", "wanted")
_WANTED_HELP_SECONDS = 0.5
FIRST_COLUMNS = ("configuration", "s to first micro-batch")
MEMORY_COLUMNS = ("images", "data", "peak memory", "peak above first", "data above first", "quotient")


def first_micro_batches(options: Options, progress: Progress) -> list[dict[str, Any]]:
    """Seconds from process start to the first micro-batch, for every precision, --jit_compile and penalty.

    Imports, building, tracing and one pass over a micro-batch, each in a process of its own, once.
    """
    results = []
    for policy in options.dtype_policies:
        for jit in options.jit_compile:
            for penalty in options.penalties:
                setting = {"dtype_policy": policy, "jit_compile": jit, "penalty": penalty}
                size = options.micro_batch_size
                arguments = {
                    **setting,
                    "model": options.model,
                    "image_size": options.image_size,
                    "num_classes": options.num_classes,
                    "samples": size,
                    "micro_batch_size": size,
                }
                started = time.time()
                seconds = fresh_process.call("first_micro_batch", arguments)["finished_at"] - started
                progress(f"first micro-batch: {policy}, jit_compile {jit}, {penalty}: {seconds:.1f} s")
                results.append({**setting, "seconds": seconds})
    return results


def first_micro_batch_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Seconds to the first micro-batch, a row for each configuration."""
    rows = [
        (f"{r['dtype_policy']}, jit_compile {r['jit_compile']}, {r['penalty']}", f"{r['seconds']:.1f}")
        for r in results
    ]
    return format_table(FIRST_COLUMNS, rows, "<>")


def memory_sweep(options: Options, progress: Progress) -> list[dict[str, Any]]:
    """Peak memory of a process that makes full-batch steps, for every number of images, see `memory_results`."""
    runs = []
    for samples in options.memory_sweep:
        arguments = {"samples": samples, "micro_batch_size": options.micro_batch_size}
        runs.append(fresh_process.call("memory", arguments))
        progress(f"memory: {samples} images: {mebibytes(runs[-1]['host'])}")
    return memory_results(runs)


def memory_results(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each run of the sweep, with the growth of peak memory and of the data since the first run."""
    first = runs[0]
    results = []
    for run in runs:
        peak, data = run["host"] - first["host"], run["data_bytes"] - first["data_bytes"]
        results.append(
            {**run, "peak_growth": peak, "data_growth": data, "quotient": peak / data if data else None}
        )
    return results


def memory_table(results: Sequence[Mapping[str, Any]]) -> str:
    """`memory_results` as a table."""
    rows = [
        (
            r["samples"],
            *(mebibytes(r[key]) for key in ("data_bytes", "host", "peak_growth", "data_growth")),
            number(r["quotient"], ".2f"),
        )
        for r in results
    ]
    return format_table(MEMORY_COLUMNS, rows, ">" * len(MEMORY_COLUMNS))


def help_seconds(options: Options, progress: Progress) -> list[dict[str, Any]]:
    """Seconds that each command takes to show its --help, every time in a process of its own."""
    results = []
    for name in COMMANDS:
        seconds = []
        for _ in range(options.repeats):
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", f"tf_fullbatch.{name}", "--help"], check=True, capture_output=True
            )
            seconds.append(time.perf_counter() - started)
        results.append({"command": name, "seconds": seconds})
        progress(f"--help of {name}: {statistics.median(seconds):.2f} s")
    return results


def help_table(results: Sequence[Mapping[str, Any]]) -> str:
    """`help_seconds` as a table: medians over the repeats, least and largest."""
    rows = [
        (
            r["command"],
            *(f"{figure(r['seconds']):.2f}" for figure in (statistics.median, min, max)),
            f"< {_WANTED_HELP_SECONDS:g}",
        )
        for r in results
    ]
    return format_table(HELP_COLUMNS, rows, "<>>>>")
