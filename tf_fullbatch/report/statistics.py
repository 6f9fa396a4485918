"""Mean, spread, and the interval in which the mean of a few paired differences lies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """The mean of paired differences and how well they determine it.

    Attributes:
        mean: Mean of the differences.
        deviation: Their sample standard deviation; None for a single one.
        half_width: Half the width of the interval around the mean; None for a single difference.
    """

    mean: float
    deviation: float | None
    half_width: float | None


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation, `sqrt(sum (x - mean)^2 / (n - 1))`; None for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def half_width_factor(count: int, level: float = LEVEL) -> float:
    """Half the width of the interval of a mean, in sample standard deviations: `t(count - 1) / sqrt(count)`.

    Args:
        count: How many values the mean is of, at least 2.
        level: The share of such intervals that hold the true mean, for independent normal values.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908).
    """
    if count < 2:
        raise ValueError(f"count is {count}: an interval needs at least 2 values")
    return float(stats.t.ppf((1 + level) / 2, count - 1)) / math.sqrt(count)


def interval(differences: Sequence[float]) -> Interval:
    """The mean of differences with Student's 95 % interval; with a single one there is no interval."""
    if not differences:
        raise ValueError("no differences: an interval needs at least one")
    spread = deviation(differences)
    width = None if spread is None else spread * half_width_factor(len(differences))
    return Interval(mean=float(np.mean(differences)), deviation=spread, half_width=width)
