"""--suite=curvature: products of the whole set's curvature with a vector beside the set's gradient."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_fullbatch.benchmark import loops, timing, workloads
from tf_fullbatch.benchmark.comparisons import PRODUCTS, ProductComparison
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.timing import Passes, Progress, Timing
from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.display.text import format_table
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.run.devices import precision
from tf_fullbatch.training.full_batch_model import FullBatchModel

GRADIENT, PRODUCT = "gradient", "product"
COLUMNS = (
    "row", "ms/product", "ms/gradient", "ratio", "least", "largest", "ratio of processor time", "wanted",
)  # fmt: skip


def measure(options: Options, progress: Progress) -> list[dict[str, Any]]:
    """The rows asked for, see `result`; gradient and product in turn."""
    rows = []
    for name, comparison in PRODUCTS.items():
        if name in options.rows or not options.rows:
            progress(f"{name}: {comparison.work}")
            with precision(comparison.work.dtype_policy):
                timings = timing.measure(timed(comparison), options.repeats, progress, options.seconds)
            rows.append(result(name, comparison, timings))
    return rows


def timed(comparison: ProductComparison) -> dict[str, Passes]:
    """`GRADIENT` and `PRODUCT` of one objective at one place, along random directions."""
    work = comparison.work
    model = FullBatchModel(workloads.network(work), micro_batch_size=work.micro_batch_size)
    model.compile(optimizer=GradientDescent(workloads.LEARNING_RATE), loss=SparseCrossentropy())
    objective = model.objective(UpdateBatches(*workloads.random_data(work)), statistics=comparison.statistics)
    theta, random = objective.theta(), np.random.default_rng(0)
    directions = [
        [random.standard_normal(tuple(leaf.shape)).astype(np.float32) for leaf in theta]
        for _ in range(comparison.directions)
    ]

    def gradients(passes: int) -> None:
        for _ in range(passes):
            objective.value_and_gradient(theta)

    def products(passes: int) -> None:
        for _ in range(passes):
            objective.hvps(theta, directions, comparison.curvature)

    return {GRADIENT: loops.timed(gradients), PRODUCT: loops.timed(products)}


def result(
    name: str, comparison: ProductComparison, timings: Mapping[str, Sequence[Timing]]
) -> dict[str, Any]:
    """One row's figures.

    Args:
        name: The row's name.
        comparison: What was compared.
        timings: `GRADIENT` and `PRODUCT` -> one timing per round.

    Returns:
        `row`, `work`, `curvature`, `statistics`, `wanted`; `ratio` (`median`, `least`, `largest` over the rounds of a
        product's seconds / a gradient's) and `cpu_ratio`, the same of processor time, which other processes disturb
        less; `seconds_per_product` and `seconds_per_gradient`, medians; `seconds` of one, all that came.
    """
    share = {GRADIENT: 1, PRODUCT: comparison.directions}
    seconds = {side: [one.seconds / share[side] for one in of_one] for side, of_one in timings.items()}
    cpu = {side: [one.cpu_seconds / share[side] for one in of_one] for side, of_one in timings.items()}
    return {
        "row": name,
        "work": str(comparison.work),
        "curvature": comparison.curvature,
        "statistics": comparison.statistics,
        "wanted": comparison.wanted,
        "ratio": timing.spread(timing.ratios(seconds[PRODUCT], seconds[GRADIENT]))._asdict(),
        "cpu_ratio": timing.spread(timing.ratios(cpu[PRODUCT], cpu[GRADIENT]))._asdict(),
        "seconds_per_product": statistics.median(seconds[PRODUCT]),
        "seconds_per_gradient": statistics.median(seconds[GRADIENT]),
        "seconds": seconds,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """`result`s as a table."""
    cells = [
        (
            r["row"],
            f"{1000 * r['seconds_per_product']:.4g}",
            f"{1000 * r['seconds_per_gradient']:.4g}",
            *(f"{r['ratio'][key]:.2f}" for key in ("median", "least", "largest")),
            f"{r['cpu_ratio']['median']:.2f}",
            None if r["wanted"] is None else f"<= {r['wanted']:.3g}",
        )
        for r in rows
    ]
    return format_table(COLUMNS, cells, "<" + ">" * (len(COLUMNS) - 1))
