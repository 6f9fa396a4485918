"""--suite=curvature: what measures of curvature spend along training, and the memory of tracked eigenvectors."""

import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from tf_fullbatch.analysis.eigenvalues import eigenpairs
from tf_fullbatch.benchmark.comparisons import SPENDING, Spending
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.timing import Progress
from tf_fullbatch.config.run import Config
from tf_fullbatch.display.text import format_table
from tf_fullbatch.run import build
from tf_fullbatch.run.devices import choose_strategy, precision
from tf_fullbatch.run.splits import training_batches
from tf_fullbatch.training.measure import Measure

STATED_BYTES = 6 * 8
"""Bytes per parameter and eigenvector that "lobpcg" holds, 6k vectors in float64, by `eigenpairs`."""
TRACKED = (1, 3, 10)
_PARAMETERS = 20_000


def spending(options: Options, progress: Progress) -> list[dict[str, Any]]:
    """The rows asked for, see `spent`."""
    rows = []
    for name, row in SPENDING.items():
        if name in options.rows or not options.rows:
            progress(f"{name}: every {row.every} of {row.steps} steps")
            rows.append({"row": name, **spent(row)})
    return rows


def spent(row: Spending) -> dict[str, Any]:
    """Gradient evaluations per sample that each measurement took.

    Returns:
        `every`, `wanted`; `first`, of the first measurement, which starts from random vectors; `mean` and `most`,
        of those after it; `evaluations`, of each; `converged`, the share of those after the first in which every
        eigenpair was, and `edge`, the largest eigenvalue's greatest share of the threshold (None of other measures).
    """
    config = Config().replacing(
        dataset="digits",
        train_size=row.samples,
        model="mlp",
        activation="softplus",
        learning_rate=row.learning_rate,
    )
    measure = Measure(row.measure, every=row.every, options=row.options)
    with precision("float32"):
        parts = build.assemble(config, choose_strategy(config.runtime))
        batches = training_batches(config, parts.splits.train)
        parts.model.fit(batches, epochs=row.steps, verbose=0, callbacks=[measure])
    evaluations = _values(measure, "gradient_evaluations")
    converged, ratios = _values(measure, "converged"), _values(measure, "ratio")
    return {
        "every": row.every,
        "wanted": row.wanted,
        "first": evaluations[0],
        "mean": float(np.mean(evaluations[1:])),
        "most": max(evaluations[1:]),
        "evaluations": evaluations,
        "converged": float(np.mean(converged[1:])) if converged else None,
        "edge": max(ratios) if ratios else None,
    }


def _values(measure: Measure, quantity: str) -> list[float]:
    return [float(record["value"]) for record in measure.records if record["quantity"] == quantity]


def spending_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """`spending` as a table."""
    heading = (
        "row",
        "measurements",
        "first",
        "mean",
        "most",
        "wanted",
        "converged",
        "largest share of threshold",
    )
    cells = [
        (
            r["row"],
            len(r["evaluations"]),
            *(f"{r[key]:.1f}" for key in ("first", "mean", "most")),
            f"<= {r['wanted']:g}",
            None if r["converged"] is None else f"{r['converged']:.3f}",
            None if r["edge"] is None else f"{r['edge']:.2f}",
        )
        for r in rows
    ]
    return "gradient evaluations per sample and measurement\n" + format_table(heading, cells, "<" + 7 * ">")


def tracked_memory(k: int, parameters: int = _PARAMETERS) -> dict[str, Any]:
    """Memory of `eigenpairs` that follows k vectors of a diagonal matrix.

    Returns:
        `k`, `parameters`; in bytes per parameter and vector `stated`, what it is documented to hold, and `peak`,
        the most that Python and NumPy had allocated at once, the vectors handed in left out.
    """
    spectrum = np.geomspace(1.0, 1e-3, parameters)
    start = np.random.default_rng(0).standard_normal((parameters, k))
    operator = LinearOperator(
        (parameters, parameters), matvec=lambda v: spectrum * np.ravel(v), dtype=np.float32
    )
    tracemalloc.start()
    try:
        eigenpairs(operator, k, start=start, most_products=10 * k)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return {"k": k, "parameters": parameters, "stated": STATED_BYTES, "peak": peak / (parameters * k)}


def memory_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """`tracked_memory` as a table."""
    cells = [(r["k"], r["stated"], f"{r['peak']:.0f}") for r in rows]
    return format_table(
        ("eigenpairs tracked", "bytes per parameter and pair, held", "at the peak"), cells, ">>>"
    )
