"""What is drawn of an arm: its mean over seeds with their range, against cost and against training loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tf_fullbatch.report.arms import ComparedArm
from tf_fullbatch.report.run_records import RecordedRun

BINS = 200
_GROWTH = 0.1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curve:
    """A curve over training.

    Attributes:
        points: One row per point: `mean`, `low` and `high` of the seeds, and the means over the seeds of what it is
            drawn against: `passes`, `gradient_evaluations`, `seconds` and `training_loss`.
        completed: Whether it is of completed runs; else of one run that is not.
    """

    points: pd.DataFrame
    completed: bool

    @property
    def has_range(self) -> bool:
        """Whether the seeds differ."""
        return bool((self.points["low"] != self.points["high"]).any())


def error_curves(arm: ComparedArm) -> list[Curve]:
    """Classification error in percent at the evaluations of the arm's split, with the weights as trained."""
    return _curves(arm, [_error_points(run, arm.split) for run in arm.runs])


def metric_curves(arm: ComparedArm, column: str, bins: int = BINS) -> list[Curve]:
    """A column of metrics.csv, averaged over about `bins` stretches of steps."""
    return _curves(arm, [_metric_points(run, column, bins) for run in arm.runs])


def _error_points(run: RecordedRun, split: str) -> pd.DataFrame:
    table = run.evaluations
    table = table[(table["split"] == split) & (table["weights"] == "raw")]
    points = pd.DataFrame({"passes": table["epoch"], "value": 100 * (1 - table["accuracy"])})
    if not run.started:
        return points.assign(gradient_evaluations=np.nan, seconds=np.nan, training_loss=np.nan)
    for name, column in (("gradient_evaluations", "spent"), ("seconds", "wall_seconds")):
        points[name] = np.interp(table["step"], run.metrics["step"], run.metrics[column])
    points["training_loss"] = _loss_over_the_pass_before(run, points["passes"].to_numpy())
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
    quantities = {
        "passes": run.metrics["epoch"],
        "gradient_evaluations": run.metrics["spent"],
        "seconds": run.metrics["wall_seconds"],
        "training_loss": run.metrics["loss"],
        "value": run.metrics[column],
    }
    return bin_means(pd.DataFrame(quantities), bins).dropna(subset=["passes", "value"])


def bin_starts(count: int, bins: int) -> np.ndarray:
    """Where stretches of neighbouring steps begin: every step where they are few, else about `bins` stretches.

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


def bin_means(table: pd.DataFrame, bins: int) -> pd.DataFrame:
    """The mean of what was measured in each of about `bins` stretches of rows; NaN where there is nothing."""
    stretch = np.searchsorted(bin_starts(len(table), bins), np.arange(len(table)), side="right")
    return table.where(np.isfinite(table)).groupby(stretch).mean()


def _curves(arm: ComparedArm, points: Sequence[pd.DataFrame]) -> list[Curve]:
    """One curve of the completed runs together, and one of each that is not completed."""
    measured = [(run, table) for run, table in zip(arm.runs, points, strict=True) if len(table)]
    together = [table for run, table in measured if run.completed]
    curves = [Curve(points=over_seeds(together), completed=True)] if together else []
    others = [
        Curve(points=over_seeds([table]), completed=False) for run, table in measured if not run.completed
    ]
    return [curve for curve in (*curves, *others) if len(curve.points)]


def over_seeds(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Mean, smallest and largest `value`, and the mean of all else, at the passes at which every seed has a point."""
    together = pd.concat(tables)
    groups = together.groupby(together["passes"].round(6).to_numpy())
    points = groups.mean().rename(columns={"value": "mean"})
    points = points.assign(low=groups["value"].min(), high=groups["value"].max())
    return points[groups.size() == len(tables)]
