"""Mean, spread, and the interval in which the mean of a few paired differences lies."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special


class Interval(NamedTuple):
    """The mean of differences, their sample standard deviation, and half the width of the mean's 95 % interval.

    Of a single difference there is neither deviation nor width: None.
    """

    mean: float
    deviation: float | None
    half_width: float | None


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation, `sqrt(sum (x - mean)^2 / (n - 1))`; None for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def half_width_factor(count: int) -> float:
    """Half the width of the 95 % interval of a mean of `count` values, in their deviations: `t(n - 1) / sqrt(n)`.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908).
    """
    if count < 2:
        raise ValueError(f"count is {count}: an interval needs at least 2 values")
    return float(special.stdtrit(count - 1, 0.975)) / math.sqrt(count)


def interval(differences: Sequence[float]) -> Interval:
    """The mean of differences with Student's 95 % interval, that of independent normal values."""
    if not differences:
        raise ValueError("no differences: an interval needs at least one")
    spread = deviation(differences)
    width = None if spread is None else spread * half_width_factor(len(differences))
    return Interval(float(np.mean(differences)), spread, width)
