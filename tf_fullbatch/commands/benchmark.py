"""The command `python -m tf_fullbatch.benchmark`: what a training step costs, beside a bare loop."""

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tf_fullbatch.benchmark import options as benchmark_options
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.commands import console


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    return console.exit_code(_run, argv, "interrupted: nothing was written")


def _run(argv: Sequence[str]) -> int:
    options = benchmark_options.parse(argv)
    if options is None:
        print(benchmark_options.help_text())
        return 0
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    results = execute(options)
    if options.json is not None:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


def execute(options: Options) -> dict[str, Any]:
    """Measures what the options ask for, prints tables, and returns everything that was measured."""
    from tf_fullbatch.benchmark import device, tables  # TensorFlow takes seconds to import
    from tf_fullbatch.reporting.summary import git_revision, versions

    results: dict[str, Any] = {
        "options": dataclasses.asdict(options),
        "machine": device.description(),
        "versions": versions(),
        "git_revision": git_revision(Path(__file__).parent),
    }
    print(tables.header(results["machine"], results["versions"]))
    if options.first_micro_batch:
        results["first_micro_batch"] = first_micro_batches(options)
        print(tables.first_micro_batch_table(results["first_micro_batch"]))
    if options.memory_sweep:
        results["memory_sweep"] = tables.memory_results(memory_sweep(options))
        print(tables.memory_table(results["memory_sweep"]))
    if not options.first_micro_batch and not options.memory_sweep:
        from tf_fullbatch.benchmark.rounds import measure_speed

        speed = measure_speed(options, _progress)
        results["gradient_flops"] = speed.gradient_flops
        results["speed"] = tables.speed_results(speed, options.samples)
        print(
            f"{options.model}, {options.samples} images of {options.image_size}x{options.image_size}, "
            f"micro-batches of {options.micro_batch_size}, medians of {options.repeats}"
        )
        print(tables.speed_table(results["speed"]))
    return results


def first_micro_batches(options: Options) -> list[dict[str, Any]]:
    """Seconds from process start to the first micro-batch, for every precision, --jit_compile and penalty."""
    from tf_fullbatch.benchmark.fresh_process import seconds_to_first_micro_batch

    results = []
    for policy in options.dtype_policies:
        for jit in options.jit_compile:
            for penalty in options.penalties:
                seconds = seconds_to_first_micro_batch(options, penalty, policy, jit)
                _progress(f"first micro-batch: {policy}, jit_compile {jit}, {penalty}: {seconds:.1f} s")
                results.append(
                    {"dtype_policy": policy, "jit_compile": jit, "penalty": penalty, "seconds": seconds}
                )
    return results


def memory_sweep(options: Options) -> list[dict[str, Any]]:
    """Peak memory for every number of images, in the order given."""
    from tf_fullbatch.benchmark.fresh_process import memory_of_steps

    runs = []
    for samples in options.memory_sweep:
        runs.append(memory_of_steps(samples, options.micro_batch_size))
        _progress(f"memory: {samples} images: {runs[-1]['host'] / 2**20:.0f} MiB")
    return runs


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
