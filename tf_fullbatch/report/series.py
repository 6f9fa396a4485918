"""What is drawn of a row: its mean over seeds with their range, against cost and against training loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tf_fullbatch.report.rows import ComparedRow
from tf_fullbatch.report.run_records import RecordedRun

X_QUANTITIES = ("passes", "gradient_evaluations", "seconds", "training_loss")
BINS = 200
_GROWTH = 0.1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curve:
    """A curve over training.

    Attributes:
        x: Name of `X_QUANTITIES` -> `[points]`, mean over the seeds.
        mean: `[points]`, the mean over the seeds.
        low: `[points]`, the smallest of the seeds.
        high: `[points]`, the largest of the seeds.
        completed: Whether it is of completed runs; else of one run that is not.
    """

    x: dict[str, np.ndarray]
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    completed: bool


def error_curves(row: ComparedRow) -> list[Curve]:
    """Classification error in percent at the evaluations of the row's split, with the weights as trained."""
    return _curves(row, [_error_points(run, row.split) for run in row.runs])


def metric_curves(row: ComparedRow, column: str, bins: int = BINS) -> list[Curve]:
    """A column of metrics.csv, averaged over about `bins` runs of steps."""
    return _curves(row, [_metric_points(run, column, bins) for run in row.runs])


def _error_points(run: RecordedRun, split: str) -> pd.DataFrame:
    table = run.evaluations
    table = table[(table["split"] == split) & (table["weights"] == "raw")]
    points = pd.DataFrame({"passes": table["epoch"], "value": 100 * (1 - table["accuracy"])})
    if run.started and run.config is not None:
        steps = run.metrics["step"].to_numpy()
        samples = np.interp(table["step"], steps, run.metrics["samples_seen"])
        points["gradient_evaluations"] = samples * run.config.step.gradient_evaluations
        points["seconds"] = np.interp(table["step"], steps, run.metrics["wall_seconds"])
        points["training_loss"] = _loss_over_the_pass_before(run, points["passes"].to_numpy())
    else:
        points = points.assign(gradient_evaluations=np.nan, seconds=np.nan, training_loss=np.nan)
    return points.dropna(subset=["passes", "value"])


def _loss_over_the_pass_before(run: RecordedRun, passes: np.ndarray) -> np.ndarray:
    """The mean training loss of the steps within one pass before each of these, `[points]`; NaN where there is none."""
    epochs, losses = run.metrics["epoch"].to_numpy(), run.metrics["loss"].to_numpy()
    slack = 1e-6  # an epoch is a sum of fractions
    bounds = zip(
        np.searchsorted(epochs, passes - 1 + slack), np.searchsorted(epochs, passes + slack), strict=True
    )
    return np.array([losses[first:last].mean() if first < last else np.nan for first, last in bounds])


def _metric_points(run: RecordedRun, column: str, bins: int) -> pd.DataFrame:
    evaluations = run.gradient_evaluations_per_sample or np.nan
    starts = bin_starts(len(run.metrics), bins)
    quantities = {
        "passes": run.metrics["epoch"],
        "gradient_evaluations": run.metrics["samples_seen"] * evaluations,
        "seconds": run.metrics["wall_seconds"],
        "training_loss": run.metrics["loss"],
        "value": run.metrics[column],
    }
    points = {name: bin_means(values.to_numpy(), starts) for name, values in quantities.items()}
    return pd.DataFrame(points).dropna(subset=["passes", "value"])


def bin_starts(count: int, bins: int) -> np.ndarray:
    """Where runs of neighbouring steps begin: every step where they are few, else about `bins` runs.

    Their length grows with the step, up to that of `bins / 2` equal ones, so that a curve shows its course on a
    logarithmic axis and on a linear one.
    """
    if count <= bins:
        return np.arange(count)
    longest = 2 * count / bins
    starts = [0.0]
    while (start := starts[-1] + min(longest, max(1.0, _GROWTH * starts[-1]))) < count - longest / 2:
        starts.append(start)
    return np.array(starts).astype(int)


def bin_means(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The mean of the finite values of each bin, `[bins]`; NaN where there is none."""
    if not len(starts):
        return np.array([])
    finite = np.isfinite(values)
    counts = np.add.reduceat(finite.astype(float), starts)
    sums = np.add.reduceat(np.where(finite, values, 0.0), starts)
    return np.divide(sums, counts, out=np.full(len(starts), np.nan), where=counts > 0)


def _curves(row: ComparedRow, points: Sequence[pd.DataFrame]) -> list[Curve]:
    """One curve of the completed runs together, and one of each that is not completed."""
    measured = [(run, table) for run, table in zip(row.runs, points, strict=True) if len(table)]
    together = [table for run, table in measured if run.completed]
    curves = [_mean_curve(together, completed=True)] if together else []
    curves = [curve for curve in curves if len(curve.mean)]
    return curves + [_mean_curve([table], completed=False) for run, table in measured if not run.completed]


def _mean_curve(tables: Sequence[pd.DataFrame], completed: bool) -> Curve:
    """The mean at the passes at which all tables have points; without any, where they overlap, interpolated there."""
    first, *others = (table["passes"].to_numpy() for table in tables)
    near = [np.isclose(first[:, None], other, rtol=0, atol=1e-6).any(1) for other in others]
    grid = first[np.logical_and.reduce(near)] if near else first
    if not len(grid):
        begin, end = max(t["passes"].iloc[0] for t in tables), min(t["passes"].iloc[-1] for t in tables)
        grid = first[(first >= begin) & (first <= end)]
    values = np.array([np.interp(grid, table["passes"], table["value"]) for table in tables])
    x = {
        name: np.mean([np.interp(grid, table["passes"], table[name]) for table in tables], axis=0)
        for name in X_QUANTITIES
    }
    return Curve(x=x, mean=values.mean(0), low=values.min(0), high=values.max(0), completed=completed)
