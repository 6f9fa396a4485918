"""Hager and Zhang's search: the Wolfe conditions, or approximate ones that rounding does not spoil near a minimum."""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from tf_fullbatch.optim.searches.line import Found, Line, Start, Trial, check_conditions
from tf_fullbatch.settings.fields import Settings, check_ranges, setting


class _Interval(NamedTuple):
    """`phi(low) <= phi(0) + slack`, `phi'(low) < 0`, `phi'(high) >= 0`."""

    low: Trial
    high: Trial

    @property
    def width(self) -> float:
        return self.high.length - self.low.length


@dataclass(frozen=True, kw_only=True, slots=True)
class HagerZhang(Settings):
    """A length with the Wolfe conditions

        phi(t) <= phi(0) + decrease t phi'(0),   phi'(t) >= curvature phi'(0),

    or the approximate ones, which values that differ by rounding alone meet too:

        phi(t) <= phi(0) + slack |phi(0)|,   (2 decrease - 1) phi'(0) >= phi'(t) >= curvature phi'(0).

    Attributes:
        decrease: delta, below 1/2.
        curvature: sigma, from delta to below 1.
        slack: epsilon, what rounding may add to a value, as a share of it.
        bisection: theta, where an interval is cut whose ends show no minimum.
        shrink: gamma, by which an interval has to shrink in a double secant step, or it is halved.
        growth: rho, factor from one trial to the next while there is no interval.
        most: Most trials.
        first: How the first length of a step follows from the last step's, a: "slopes" takes it as it is given, for as
            large a promise as then (Nocedal and Wright 2006, section 3.5); "quadratic" looks at the value at `probe a`,
            and takes the minimum of the parabola through it where the value is no larger and there is one, else
            `repeat a`.
        probe: psi_1.
        repeat: psi_2.

    Source: Hager and Zhang 2005, section 4; 2006 (algorithm 851), sections 2 and 3, its "initial" I1 and I2.
    """

    summary: ClassVar[str] = "Wolfe's conditions, approximate ones near a minimum"
    values_compared: ClassVar[bool] = False

    decrease: float = setting(
        0.1, "delta, the share of the promised decrease to ask for.", above=0, below=0.5
    )
    curvature: float = setting(0.9, "sigma, the share of the slope that may be left.", above=0, below=1)
    slack: float = setting(1e-6, "What rounding may add to a value, as a share of it.", minimum=0)
    bisection: float = setting(0.5, "theta, where an interval without a minimum is cut.", above=0, below=1)
    shrink: float = setting(
        0.66, "gamma, by which an interval has to shrink, or it is halved.", above=0, below=1
    )
    growth: float = setting(
        5.0, "rho, factor from one trial to the next while there is no interval.", above=1
    )
    most: int = setting(50, "Most trials.", minimum=1)
    first: str = setting(
        "quadratic",
        "First length after a step: by a quadratic, or by the slopes.",
        choices=("quadratic", "slopes"),
    )
    probe: float = setting(
        0.1, "psi1, where the quadratic is probed, as a share of the last length.", above=0
    )
    repeat: float = setting(2.0, "psi2, times the last length, where the quadratic has no minimum.", above=0)

    def __post_init__(self) -> None:
        check_ranges(self)
        check_conditions("hager_zhang", self.decrease, self.curvature)

    def search(self, line: Line, start: Start) -> Found | None:
        """See `line.Search`."""
        if self.first == "quadratic" and start.last > 0:
            start = start._replace(first=self._by_quadratic(line, start))
        return _Run(self, line, start).found()

    def _by_quadratic(self, line: Line, start: Start) -> float:
        """I1 and I2."""
        probe = line.at(self.probe * start.last)
        bend = (
            probe.value - start.value - probe.length * start.slope
        ) / probe.length**2  # half its curvature
        if probe.value <= start.value and bend > 0:
            return -start.slope / (2 * bend)
        return self.repeat * start.last


class _Ended(Exception):  # noqa: N818, it is no error
    """A trial met the conditions; None where no more trials are to be made."""

    def __init__(self, accepted: Trial | None = None):
        super().__init__()
        self.accepted = accepted


class _Run:
    """One search."""

    def __init__(self, rule: HagerZhang, line: Line, start: Start):
        self._rule, self._line, self._start = rule, line, start
        self._bound = start.value + rule.slack * abs(start.value)
        self._best: Trial | None = None

    def found(self) -> Found | None:
        try:
            interval = self._bracketed()
            while True:
                interval = self._smaller(interval)
        except _Ended as ended:
            if ended.accepted is not None:
                return Found(ended.accepted, satisfied=True)
            return None if self._best is None else Found(self._best, satisfied=False)

    def _at(self, length: float) -> Trial:
        """A trial, which ends the search where it meets the conditions."""
        rule, start = self._rule, self._start
        if self._line.trials >= rule.most:
            raise _Ended
        trial = self._line.with_slope(length)
        steep = trial.slope >= rule.curvature * start.slope
        wolfe = trial.value <= start.value + rule.decrease * length * start.slope and steep
        approximate = (
            trial.value <= self._bound and steep and trial.slope <= (2 * rule.decrease - 1) * start.slope
        )
        if wolfe or approximate:
            raise _Ended(trial)
        if trial.value < start.value and (self._best is None or trial.value < self._best.value):
            self._best = trial
        return trial

    def _bracketed(self) -> _Interval:
        """Procedure "bracket": B0 to B3."""
        low = Trial(0.0, self._start.value, self._start.slope)
        length = self._start.first
        while True:
            trial = self._at(length)
            if trial.slope >= 0:
                return _Interval(low, trial)
            if not trial.value <= self._bound:  # inf too, whose slope is not known
                return self._halved(_Interval(low, trial))
            low, length = trial, length * self._rule.growth

    def _halved(self, interval: _Interval) -> _Interval:
        """U3: between an end that descends and one that is too high, or not finite."""
        low, high = interval
        while True:
            if not high.length - low.length > 1e-16 * high.length:
                raise _Ended
            middle = (1 - self._rule.bisection) * low.length + self._rule.bisection * high.length
            trial = self._at(middle)
            if trial.slope >= 0:
                return _Interval(low, trial)
            if trial.value <= self._bound:
                low = trial
            else:
                high = trial

    def _updated(self, interval: _Interval, length: float) -> _Interval:
        """Procedure "update": U0 to U3."""
        if not interval.low.length < length < interval.high.length:
            return interval
        trial = self._at(length)
        if trial.slope >= 0:
            return _Interval(interval.low, trial)
        if trial.value <= self._bound:
            return _Interval(trial, interval.high)
        return self._halved(_Interval(interval.low, trial))

    def _smaller(self, interval: _Interval) -> _Interval:
        """L1 and L2: a double secant step, and a bisection where that did not do."""
        smaller = self._secant_squared(interval)
        if smaller.width > self._rule.shrink * interval.width:
            smaller = self._updated(smaller, (smaller.low.length + smaller.high.length) / 2)
        if not smaller.width > 1e-16 * smaller.high.length or smaller == interval:
            raise _Ended
        return smaller

    def _secant_squared(self, interval: _Interval) -> _Interval:
        """Procedure "secant^2": S1 to S4."""
        middle = _secant(interval.low, interval.high)
        updated = self._updated(interval, middle)
        if middle == updated.high.length:
            second = _secant(interval.high, updated.high)
        elif middle == updated.low.length:
            second = _secant(interval.low, updated.low)
        else:
            return updated
        return self._updated(updated, second)


def _secant(a: Trial, b: Trial) -> float:
    """Where the line through both slopes is 0; nan where there is no such place."""
    rise = b.slope - a.slope
    return (a.length * b.slope - b.length * a.slope) / rise if rise else math.nan
