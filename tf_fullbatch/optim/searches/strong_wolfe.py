"""The strong Wolfe conditions, by bracketing and zooming in."""

import math
from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.optim.searches.line import Found, Line, Start, Trial, check_conditions, is_lower
from tf_fullbatch.settings.fields import Settings, check_ranges, setting


@dataclass(frozen=True, kw_only=True, slots=True)
class StrongWolfe(Settings):
    """A length with `phi(t) <= phi(0) + decrease t phi'(0)` and `|phi'(t)| <= curvature |phi'(0)|`.

    Trials double until an interval has such a length in it, and close in on it by the minimum of a cubic through both
    ends, or by its half where that lies too near an end. Where the second condition cannot be had, the lowest trial
    that meets the first is taken.

    Attributes:
        decrease: c1.
        curvature: c2, between c1 and 1: 0.9 for quasi-Newton directions, 0.1 for conjugate gradients.
        most: Most trials.
        slack: See `line.is_lower`.
        growth: Factor from one trial to the next while there is no interval.

    Source: Nocedal and Wright 2006, algorithms 3.5 and 3.6, (3.59).
    """

    summary: ClassVar[str] = "decrease and slope by zooming in"
    values_compared: ClassVar[bool] = False

    decrease: float = setting(1e-4, "c1, the share of the promised decrease to ask for.", above=0, below=1)
    curvature: float = setting(0.9, "c2, the share of the slope that may be left.", above=0, below=1)
    most: int = setting(20, "Most trials.", minimum=1)
    slack: float = setting(0.0, "What rounding may add to a value, as a share of it.", minimum=0)
    growth: float = setting(2.0, "Factor from one trial to the next while there is no interval.", above=1)

    def __post_init__(self) -> None:
        check_ranges(self)
        check_conditions("strong_wolfe", self.decrease, self.curvature)

    def search(self, line: Line, start: Start) -> Found | None:
        """See `line.Search`."""
        origin = Trial(0.0, start.value, start.slope)
        last, best = origin, None
        length = start.first
        while line.trials < self.most:
            trial = line.with_slope(length)
            lower = is_lower(trial, start, self.decrease, self.slack)
            if not lower or (last is not origin and trial.value >= last.value):
                return self._zoomed(line, start, last, trial, best)
            best = trial if best is None or trial.value < best.value else best
            if self._is_flat(trial, start):
                return Found(trial, satisfied=True)
            if trial.slope >= 0:
                return self._zoomed(line, start, trial, last, best)
            last, length = trial, length * self.growth
        return None if best is None else Found(best, satisfied=False)

    def _is_flat(self, trial: Trial, start: Start) -> bool:
        return abs(trial.slope) <= -self.curvature * start.slope

    def _zoomed(self, line: Line, start: Start, low: Trial, high: Trial, best: Trial | None) -> Found | None:
        """Between `low`, which is lower and whose slope points to `high`, and that."""
        while line.trials < self.most:
            width = abs(high.length - low.length)
            if width <= 1e-14 * max(low.length, high.length):
                break
            trial = line.with_slope(_between(low, high))
            if not is_lower(trial, start, self.decrease, self.slack) or trial.value >= low.value:
                high = trial
                continue
            best = trial if best is None or trial.value < best.value else best
            if self._is_flat(trial, start):
                return Found(trial, satisfied=True)
            if trial.slope * (high.length - low.length) >= 0:
                high = low
            low = trial
        return None if best is None else Found(best, satisfied=False)


def _between(low: Trial, high: Trial) -> float:
    """The minimum of the cubic through both, or of the parabola where the far slope is not known; at least a tenth of
    the interval from either end, else its half."""
    width = high.length - low.length
    half = low.length + width / 2
    if not math.isfinite(high.value):
        return half
    if math.isnan(high.slope):
        curvature = 2 * (high.value - low.value - low.slope * width) / width**2
        found = low.length - low.slope / curvature if curvature > 0 else half
    else:
        found = _cubic_minimum(low, high, half)
    inner = sorted((low.length + 0.1 * width, high.length - 0.1 * width))
    return found if inner[0] <= found <= inner[1] else half


def _cubic_minimum(a: Trial, b: Trial, otherwise: float) -> float:
    """Of the cubic with the values and slopes of two trials.

    Source: Nocedal and Wright 2006, (3.59).
    """
    first = a.slope + b.slope - 3 * (a.value - b.value) / (a.length - b.length)
    square = first**2 - a.slope * b.slope
    if not square >= 0:
        return otherwise
    second = math.copysign(math.sqrt(square), b.length - a.length)
    denominator = b.slope - a.slope + 2 * second
    if denominator == 0:
        return otherwise
    return b.length - (b.length - a.length) * (b.slope + second - first) / denominator
