"""--suite=step: a full-batch step for each precision, XLA setting and penalty, beside the bare loop."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tf_fullbatch.benchmark import loops, timing, workloads
from tf_fullbatch.benchmark.comparisons import Workload
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.tables import mebibytes, number
from tf_fullbatch.benchmark.timing import Passes, Progress, Timing
from tf_fullbatch.core.names import GRADIENT_EVALUATIONS, NOT_BY_XLA
from tf_fullbatch.display.text import format_count, format_table
from tf_fullbatch.models.gradient_flops import gradient_flops
from tf_fullbatch.run.devices import precision

BARE_LOOP = "bare loop"
COLUMNS = (
    "configuration", "s/step", "images/s", "x bare loop", "x no penalty", "speed-up over float32",
    "TFLOP/s", "peak memory",
)  # fmt: skip


class Configuration(NamedTuple):
    """One thing that is timed.

    Attributes:
        dtype_policy: Precision.
        jit_compile: Whether XLA compiles a micro-batch's gradient.
        loop: A penalty of the full-batch step, or `BARE_LOOP`.
    """

    dtype_policy: str
    jit_compile: bool
    loop: str

    def __str__(self) -> str:
        return f"{self.dtype_policy}{', XLA' if self.jit_compile else ''}, {self.loop}"


class Figures(NamedTuple):
    """What the times of one configuration come to; a ratio is None where its reference was not timed.

    Attributes:
        seconds: Median seconds per step.
        images_per_second: Samples of a step over `seconds`.
        to_bare_loop: Median over the rounds of seconds / seconds of the bare loop, same precision.
        to_no_penalty: Median over the rounds of seconds / seconds without a penalty, same precision.
        speed_up: Median over the rounds of seconds of the same in float32 / seconds.
    """

    seconds: float
    images_per_second: float
    to_bare_loop: float | None
    to_no_penalty: float | None
    speed_up: float | None


def measure(options: Options, progress: Progress) -> dict[str, Any]:
    """`gradient_flops`, see `models.gradient_flops`, and `speed`, see `results`."""
    work = Workload(
        model=options.model,
        image_size=options.image_size,
        num_classes=options.num_classes,
        samples=options.samples,
        micro_batch_size=options.micro_batch_size,
    )
    data = workloads.random_data(work)
    entries: dict[Configuration, Passes] = {}
    flops = None
    for policy in options.dtype_policies:
        with precision(policy):
            net = workloads.network(work)
            flops = gradient_flops(net)
            for jit in jit_settings(options):
                entries[Configuration(policy, jit, BARE_LOOP)] = loops.bare_loop(net, work, data, jit)
                for penalty in options.penalties:
                    compiled = jit and penalty not in NOT_BY_XLA
                    model = loops.published_model(
                        net, penalty, options.micro_batch_size, "on" if compiled else "off"
                    )
                    entries[Configuration(policy, compiled, penalty)] = loops.fit_of(model, work, data)
    timed = {c: loops.in_precision(c.dtype_policy, run) for c, run in entries.items()}
    timings = timing.measure(timed, options.repeats, progress)
    return {"gradient_flops": flops, "speed": results(timings, options.samples, flops)}


def jit_settings(options: Options) -> list[bool]:
    """The settings of --jit_compile, with auto resolved, each once."""
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    return list(dict.fromkeys(on_gpu if jit == "auto" else jit == "on" for jit in options.jit_compile))


def figures(seconds: Mapping[Configuration, Sequence[float]], samples: int) -> dict[Configuration, Figures]:
    """Medians and ratios of every configuration.

    Args:
        seconds: Times of each configuration, one per round, the same number for all.
        samples: Samples of a step.

    Raises:
        ValueError: Configurations with different numbers of times, or without any.
    """
    counts = {len(times) for times in seconds.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"Every configuration needs one time per round, but there are {sorted(counts)}.")
    found = {}
    for configuration, times in seconds.items():
        bare = configuration._replace(loop=BARE_LOOP)
        plain = configuration._replace(loop="none")
        float32 = seconds.get(configuration._replace(dtype_policy="float32"))
        median = timing.spread(times).median
        found[configuration] = Figures(
            seconds=median,
            images_per_second=samples / median,
            to_bare_loop=_median_ratio(times, seconds.get(bare)),
            to_no_penalty=None if configuration == bare else _median_ratio(times, seconds.get(plain)),
            speed_up=None if float32 is None else _median_ratio(float32, times),
        )
    return found


def results(
    timings: Mapping[Configuration, Sequence[Timing]], samples: int, gradient_flops: float | None
) -> list[dict[str, Any]]:
    """One dictionary for each configuration: its figures and every raw time.

    `tflops_per_second` counts `GRADIENT_EVALUATIONS` gradients per image (an exact Hessian-vector product counts
    as one more gradient, though it takes more operations) and convolutions and matrix products alone.
    """
    all_figures = figures(timing.seconds_of(timings), samples)
    return [
        {
            **configuration._asdict(),
            **all_figures[configuration]._asdict(),
            "tflops_per_second": tflops(
                configuration.loop, all_figures[configuration].images_per_second, gradient_flops
            ),
            "peak_memory_bytes": largest_peak(of_one),
            "rounds": [{**one._asdict(), "peak": one.peak._asdict()} for one in of_one],
        }
        for configuration, of_one in timings.items()
    ]


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """`results` as a table."""
    cells = [
        (
            Configuration(r["dtype_policy"], r["jit_compile"], r["loop"]),
            f"{r['seconds']:.4g}",
            format_count(r["images_per_second"]),
            number(r["to_bare_loop"], ".3f"),
            number(r["to_no_penalty"], ".2f"),
            number(r["speed_up"], ".2f"),
            number(r["tflops_per_second"], ".3g"),
            mebibytes(r["peak_memory_bytes"]),
        )
        for r in rows
    ]
    return format_table(COLUMNS, cells, "<" + ">" * (len(COLUMNS) - 1))


def tflops(loop: str, images_per_second: float, gradient_flops: float | None) -> float | None:
    """Floating-point operations per second in units of 1e12; None where a gradient's are not known."""
    if gradient_flops is None:
        return None
    return GRADIENT_EVALUATIONS.get(loop, 1) * gradient_flops * images_per_second / 1e12


def largest_peak(timings: Sequence[Timing]) -> int:
    """Peak bytes of the accelerator where there is one, else of this process."""
    return max(t.peak.host if t.peak.device is None else t.peak.device for t in timings)


def _median_ratio(times: Sequence[float], reference: Sequence[float] | None) -> float | None:
    return None if reference is None else timing.spread(timing.ratios(times, reference)).median
