"""The command `python -m tf_fullbatch.benchmark`: what training costs, beside plain loops."""

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tf_fullbatch.benchmark import options as benchmark_options
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.commands import console


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    kept = "interrupted: only finished parts of --suite=gpu are kept"
    return console.exit_code(argv, benchmark_options.parse, benchmark_options.help_text, _run, kept)


def _run(options: Options) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.suite == "gpu":
        from tf_fullbatch.benchmark import gpu_suite

        return 0 if gpu_suite.run(options, _progress) else 1
    results = execute(options)
    if options.json is not None:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


def execute(options: Options) -> dict[str, Any]:
    """Measures what the options ask for, prints tables, and returns everything that was measured."""
    from tf_fullbatch.benchmark import device, tables  # TensorFlow takes seconds to import
    from tf_fullbatch.records.summary import git_revision, versions

    results: dict[str, Any] = {
        "options": dataclasses.asdict(options),
        "machine": device.description(),
        "versions": versions(),
        "git_revision": git_revision(Path(__file__).parent),
    }
    print(tables.header(results["machine"], results["versions"]))
    return results | _SUITES.get(options.suite, _compared)(options)


def _step(options: Options) -> dict[str, Any]:
    from tf_fullbatch.benchmark import startup, step_suite, whole_runs

    found: dict[str, Any] = {}
    if options.first_micro_batch:
        found["first_micro_batch"] = startup.first_micro_batches(options, _progress)
        print(startup.first_micro_batch_table(found["first_micro_batch"]))
    if options.memory_sweep:
        found["memory_sweep"] = startup.memory_sweep(options, _progress)
        print(startup.memory_table(found["memory_sweep"]))
    if options.help_seconds:
        found["help_seconds"] = startup.help_seconds(options, _progress)
        print(startup.help_table(found["help_seconds"]))
    if options.own_arrays:
        found["own_arrays"] = whole_runs.own_arrays(options, _progress)
        print(whole_runs.own_arrays_table(found["own_arrays"]))
    if options.report_runs:
        found["report_runs"] = whole_runs.report_seconds(options, _progress)
        print(whole_runs.report_table(found["report_runs"]))
    if not found:
        found = step_suite.measure(options, _progress)
        print(
            f"{options.model}, {options.samples} images of {options.image_size}x{options.image_size}, "
            f"micro-batches of {options.micro_batch_size}, medians of {options.repeats}"
        )
        print(step_suite.table(found["speed"]))
    return found


def _compared(options: Options) -> dict[str, Any]:
    from tf_fullbatch.benchmark import pytorch_suite, small_suite

    small = options.suite == "small"
    found: dict[str, Any] = {"rows": (small_suite if small else pytorch_suite).measure(options, _progress)}
    print(small_suite.table(found["rows"]))
    if small and "mlp_sgd" in (options.rows or ["mlp_sgd"]):
        found["recorded_seconds_per_step"] = small_suite.recorded_seconds_per_step()
        print(
            f"mlp_sgd as a run of the command line: {1000 * found['recorded_seconds_per_step']:.4g} ms/step"
        )
    return found


def _curvature(options: Options) -> dict[str, Any]:
    from tf_fullbatch.benchmark import curvature_suite, measure_costs

    found: dict[str, Any] = {}
    if products := curvature_suite.measure(options, _progress):
        found["products"] = products
        print(curvature_suite.table(products))
    if spending := measure_costs.spending(options, _progress):
        found["spending"] = spending
        print(measure_costs.spending_table(spending))
    if "memory" in (options.rows or ["memory"]):
        found["memory"] = [measure_costs.tracked_memory(k) for k in measure_costs.TRACKED]
        print(measure_costs.memory_table(found["memory"]))
    return found


def _optimizers(options: Options) -> dict[str, Any]:
    from tf_fullbatch.benchmark import optimizer_suite

    found = optimizer_suite.measure(options, _progress)
    for work, rows in found.items():
        print(f"{work}, medians of {options.repeats}")
        print(optimizer_suite.table(rows))
    return {"optimizers": found}


def _streaming(options: Options) -> dict[str, Any]:
    from tf_fullbatch.benchmark import streaming_suite

    found = streaming_suite.measure(options, _progress)
    print(f"{options.model} at {options.image_size}x{options.image_size}, medians of {options.repeats}")
    print(streaming_suite.table(found))
    return {"streaming": found}


def _augmentation(options: Options) -> dict[str, Any]:
    from tf_fullbatch.benchmark import augmentation_suite

    rows = augmentation_suite.measure(options, _progress)
    print(
        f"{options.model}, {options.samples} images of {options.image_size}x{options.image_size}, micro-batches of "
        f"{options.micro_batch_size}, medians of {options.repeats}"
    )
    print(augmentation_suite.table(rows))
    return {"augmentation": rows}


def _scaling(options: Options) -> dict[str, Any]:
    from tf_fullbatch.benchmark import scaling_suite

    found = scaling_suite.measure(options, _progress)
    print(f"milliseconds, medians of {options.repeats} processes each")
    print(scaling_suite.table(found["rows"]))
    return found


def _models(options: Options) -> dict[str, Any]:
    from tf_fullbatch.benchmark import model_suite

    rows = model_suite.measure(options, _progress)
    print(f"images of {options.image_size}x{options.image_size}, {model_suite.IMAGES} per step")
    print(model_suite.table(rows))
    return {"models": rows}


_SUITES: dict[str, Callable[[Options], dict[str, Any]]] = {
    "step": _step,
    "curvature": _curvature,
    "optimizers": _optimizers,
    "streaming": _streaming,
    "augmentation": _augmentation,
    "scaling": _scaling,
    "models": _models,
}
"""Suite -> what measures it, prints its tables and returns its figures; of the others it is `_compared`."""


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
