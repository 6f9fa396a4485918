"""What is drawn of an arm: its mean over seeds with their range, against cost and against training loss."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tf_fullbatch.records.measured import Kind
from tf_fullbatch.report.arms import ComparedArm
from tf_fullbatch.report.run_records import LARGEST, RecordedRun

BINS = 200
"""About how many points a curve has at most."""
_GROWTH = 0.1
_SLACK = 1e-6
"""An epoch is a sum of fractions."""
COSTS = {"passes": "epoch", "gradient_evaluations": "spent", "seconds": "wall_seconds"}
"""What curves are drawn against -> its column of `RecordedRun.metrics`."""

Points = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curve:
    """A curve over training.

    Attributes:
        points: Arrays of as many points: `mean`, `low` and `high` of the seeds, and the means over the seeds of what
            they are drawn against: `passes`, `gradient_evaluations`, `seconds` and `training_loss`.
        completed: Whether it is of completed runs; else of one run that is not.
    """

    points: Points
    completed: bool

    @property
    def has_range(self) -> bool:
        """Whether the seeds differ."""
        return bool((self.points["low"] != self.points["high"]).any())


@dataclass(slots=True, eq=False)
class ArmSeries:
    """The curves of an arm.

    Attributes:
        arm: The arm.
        not_finite: Whether any evaluation's loss was not finite.
    """

    arm: ComparedArm
    not_finite: bool = False
    _evaluated: list[Points] = field(default_factory=list)
    _binned: dict[int, list[Points]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._evaluated = [evaluated_points(run, self.arm.split) for run in self.arm.runs]
        self.not_finite = any(
            not (np.abs(run.evaluations["loss"].to_numpy(float)) <= LARGEST).all() for run in self.arm.runs
        )

    def evaluations(self, name: str, split: str | None = None) -> list[Curve]:
        """Curves of the evaluations of a split, with the weights as trained.

        Args:
            name: error and accuracy (in percent), loss, or error_gap and loss_gap: error and loss minus the training's,
                over the pass before.
            split: None for the arm's own.
        """
        if split is not None:
            return self._curves([evaluated_points(run, split) for run in self.arm.runs], name)
        return self._curves(self._evaluated, name)

    def steps(self, column: str, bins: int = BINS) -> list[Curve]:
        """A column of metrics.csv, averaged over about `bins` stretches of steps."""
        if bins not in self._binned:
            self._binned[bins] = [step_points(run, bins) for run in self.arm.runs]
        return self._curves(self._binned[bins], column)

    def measured(self, kind: Kind) -> list[Curve]:
        """Curves of what was measured along training."""
        return self._curves([measured_points(run, kind) for run in self.arm.runs], "measured")

    def _curves(self, tables: Sequence[Points], name: str) -> list[Curve]:
        """One curve of the completed runs together, and one of each that is not completed."""
        together: list[Points] = []
        others: list[Curve] = []
        for run, table in zip(self.arm.runs, tables, strict=True):
            there = np.isfinite(table["passes"]) & (np.abs(table[name]) <= LARGEST)
            if not there.any():
                continue
            points = {key: table[key][there] for key in (*COSTS, "training_loss")} | {
                "value": table[name][there]
            }
            if run.completed:
                together.append(points)
            else:
                others.append(Curve(points=over_seeds([points]), completed=False))
        curves = [Curve(points=over_seeds(together), completed=True)] if together else []
        return [curve for curve in (*curves, *others) if len(curve.points["passes"])]


def evaluated_points(run: RecordedRun, split: str) -> Points:
    """The evaluations of a run, of many the means over stretches, and what they are drawn against."""
    table = run.evaluations
    rows = np.flatnonzero((table["split"] == split).to_numpy() & (table["weights"] == "raw").to_numpy())
    numbers = {name: table[name].to_numpy(float)[rows] for name in ("step", "epoch", "loss", "accuracy")}
    accuracy = 100 * numbers["accuracy"]
    points = {
        "passes": numbers["epoch"],
        "loss": numbers["loss"],
        "accuracy": accuracy,
        "error": 100 - accuracy,
    }
    metrics = run.metrics
    points |= _spent_at(run, numbers["step"])
    first, last = _pass_before(metrics["epoch"].to_numpy(), points["passes"])
    points["training_loss"] = _means(metrics["loss"].to_numpy(), first, last)
    points["error_gap"] = points["error"] - 100 * (1 - _means(metrics["accuracy"].to_numpy(), first, last))
    points["loss_gap"] = points["loss"] - points["training_loss"]
    return {name: bin_means(values, BINS) for name, values in points.items()}


def measured_points(run: RecordedRun, kind: Kind) -> Points:
    """What a run measured of a kind, of many the means over stretches, and what it is drawn against."""
    if kind not in run.measured:
        return dict.fromkeys(("measured", "training_loss", *COSTS), np.empty(0))
    rows = run.measured[kind]
    steps = rows["step"].to_numpy(float)
    points = {"passes": rows["epoch"].to_numpy(float), "measured": rows["value"].to_numpy(float)}
    points |= _spent_at(run, steps) | {"training_loss": np.full(len(steps), np.nan)}
    return {name: bin_means(values, BINS) for name, values in points.items()}


def _spent_at(run: RecordedRun, steps: np.ndarray) -> Points:
    """What a run had spent at these steps."""
    at = run.metrics["step"].to_numpy()
    return {
        name: np.interp(steps, at, run.metrics[COSTS[name]].to_numpy())
        if len(at)
        else np.full(len(steps), np.nan)
        for name in ("gradient_evaluations", "seconds")
    }


def _pass_before(epochs: np.ndarray, passes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(first, last + 1) of the steps within one pass before each of these."""
    return np.searchsorted(epochs, passes - 1 + _SLACK), np.searchsorted(epochs, passes + _SLACK)


def _means(values: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The mean of each of these stretches; NaN where there is nothing."""
    if not len(values):
        return np.full(len(first), np.nan)
    filled = first < last
    bounds = np.stack([first, last], axis=1)[filled].ravel()
    means = np.full(len(first), np.nan)
    means[filled] = np.add.reduceat(np.append(values, 0.0), bounds)[::2] / (last - first)[filled]
    return means


def step_points(run: RecordedRun, bins: int) -> Points:
    """The steps of a run, over about `bins` stretches, by column and by what they are drawn against."""
    metrics = run.metrics
    values = bin_means(metrics.to_numpy(float), bins)
    points = dict(zip(metrics.columns, values.T, strict=True))
    return (
        points | {name: points[column] for name, column in COSTS.items()} | {"training_loss": points["loss"]}
    )


@functools.lru_cache(maxsize=1000)
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


def bin_means(values: np.ndarray, bins: int) -> np.ndarray:
    """The mean of what was measured in each of about `bins` stretches of `[rows, ...]`; NaN where there is nothing."""
    finite = np.abs(values) <= LARGEST
    starts = bin_starts(len(values), bins)
    if len(starts) == len(values):
        return np.where(finite, values, np.nan)
    counts = np.add.reduceat(finite, starts, dtype=float)
    sums = np.add.reduceat(np.where(finite, values, 0.0), starts)
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def over_seeds(tables: Sequence[Points]) -> Points:
    """Mean, smallest and largest `value`, and the mean of all else, at the passes at which every seed has a point."""
    passes = [np.round(table["passes"], 6) for table in tables]
    common = passes[0]
    for other in passes[1:]:
        common = np.intersect1d(common, other)
    rows = [np.unique(one, return_index=True) for one in passes]
    places = [index[np.searchsorted(values, common)] for values, index in rows]
    together = {
        name: np.stack([table[name][place] for table, place in zip(tables, places, strict=True)])
        for name in tables[0]
    }
    values = together.pop("value")
    means = {name: stacked.mean(0) for name, stacked in together.items()}
    return means | {"mean": values.mean(0), "low": values.min(0), "high": values.max(0)}


def falling_only(points: Points) -> np.ndarray:
    """Which points have a lower training loss than every earlier one, `[points]`."""
    losses = np.where(np.isfinite(points["training_loss"]), points["training_loss"], np.inf)
    lowest = np.minimum.accumulate(np.concatenate([[np.inf], losses]))[:-1]
    return losses < lowest
