"""The benchmark's results as tables for people and as a dictionary for JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_fullbatch.benchmark.ratios import BARE_LOOP, Configuration, figures
from tf_fullbatch.benchmark.rounds import Speed, Timing, name
from tf_fullbatch.config.step import GRADIENT_EVALUATIONS
from tf_fullbatch.reporting.tables import format_count, format_table

SPEED_COLUMNS = (
    "configuration", "s/step", "images/s", "x bare loop", "x no penalty", "speed-up over float32",
    "TFLOP/s", "peak memory",
)  # fmt: skip
FIRST_COLUMNS = ("configuration", "s to first micro-batch")
MEMORY_COLUMNS = ("images", "data", "peak memory", "peak above first", "data above first", "quotient")


def header(machine: Mapping[str, Any], versions: Mapping[str, str | None]) -> str:
    """What it ran on, in two lines."""
    bfloat16 = {None: "", True: ", bfloat16 instructions", False: ", no bfloat16 instructions"}
    threads = (machine["intra_op_threads"] or "auto", machine["inter_op_threads"] or "auto")
    return (
        f"{machine['device']}, {machine['cores']} cores, threads {threads[0]} (intra-op) and {threads[1]} (inter-op)"
        f"{bfloat16[machine['bfloat16_instructions']]}\n"
        + ", ".join(f"{package} {version or '-'}" for package, version in versions.items())
    )


def speed_results(speed: Speed, samples: int) -> list[dict[str, Any]]:
    """One dictionary a configuration: its figures and every raw time.

    `tflops_per_second` counts `GRADIENT_EVALUATIONS` gradients an image (an exact Hessian-vector product counts
    as one more gradient, though it takes more operations) and convolutions and matrix products alone.
    """
    all_figures = figures({c: [t.seconds for t in ts] for c, ts in speed.timings.items()}, samples)
    return [
        {
            **configuration._asdict(),
            **all_figures[configuration]._asdict(),
            "tflops_per_second": _tflops(configuration, all_figures[configuration].images_per_second, speed),
            "peak_memory_bytes": _largest_peak(timings),
            "rounds": [{**timing._asdict(), "peak": timing.peak._asdict()} for timing in timings],
        }
        for configuration, timings in speed.timings.items()
    ]


def speed_table(results: Sequence[Mapping[str, Any]]) -> str:
    """`speed_results` as a table."""
    rows = [
        (
            name(Configuration(r["dtype_policy"], r["jit_compile"], r["contestant"])),
            f"{r['seconds']:.4g}",
            format_count(r["images_per_second"]),
            _ratio(r["to_bare_loop"], 3),
            _ratio(r["to_no_penalty"], 2),
            _ratio(r["speed_up"], 2),
            None if r["tflops_per_second"] is None else f"{r['tflops_per_second']:.3g}",
            _mebibytes(r["peak_memory_bytes"]),
        )
        for r in results
    ]
    return format_table(SPEED_COLUMNS, rows, "<" + ">" * (len(SPEED_COLUMNS) - 1))


def first_micro_batch_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Seconds to the first micro-batch, a row a configuration."""
    rows = [
        (f"{r['dtype_policy']}, jit_compile {r['jit_compile']}, {r['penalty']}", f"{r['seconds']:.1f}")
        for r in results
    ]
    return format_table(FIRST_COLUMNS, rows, "<>")


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
            _mebibytes(r["data_bytes"]),
            _mebibytes(r["host"]),
            _mebibytes(r["peak_growth"]),
            _mebibytes(r["data_growth"]),
            _ratio(r["quotient"], 2),
        )
        for r in results
    ]
    return format_table(MEMORY_COLUMNS, rows, ">" * len(MEMORY_COLUMNS))


def _tflops(configuration: Configuration, images_per_second: float, speed: Speed) -> float | None:
    if speed.gradient_flops is None:
        return None
    bare = configuration.contestant == BARE_LOOP
    gradients = 1 if bare else GRADIENT_EVALUATIONS[configuration.contestant]
    return gradients * speed.gradient_flops * images_per_second / 1e12


def _largest_peak(timings: Sequence[Timing]) -> int:
    """Of the accelerator where there is one, else of this process."""
    return max(t.peak.host if t.peak.device is None else t.peak.device for t in timings)


def _ratio(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
