"""How long a run will still take."""

import collections
import math
import statistics
from dataclasses import dataclass

_MEMORY_SECONDS = 70.0
_KEPT_PER_STEP = 0.85
"""How much of the earlier pace counts after a step that takes long."""
_REMEMBERED = 5
"""Evaluations, or measurements, whose durations count."""
_COMPILED_IN_EVALUATION = 0.2
"""What an evaluation takes to compile, in what the first step did: 0.14 to 0.3 of five runs on two cores."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recurring:
    """What a run does between steps at a cadence: evaluations, or measurements.

    Attributes:
        every: Steps between two of them; there is one after the last step in any case.
        in_steps: How many steps' gradients cost as much as one of them, by what is computed; None where that is not
            known before there was one.
    """

    every: int
    in_steps: float | None = None

    def left(self, step: int, total: int) -> int:
        """How many come after step `step` of `total`."""
        last = 1 if total % self.every and step < total else 0
        return total // self.every - step // self.every + last


class TimeLeft:
    """Estimates the time left: what steps take, by the last minute or steps, and what evaluations and measurements do.

    Checkpoints and whatever else happens between steps is part of the steps. What comes first compiles and is left out:
    nothing is said before there is a second step, or call of several; an evaluation or a measurement counts what is
    computed in it until there was a second one, and before the first evaluation its compilation is still to come.

    Args:
        step: Steps done before this process.
        total: The last step.
        now: Clock time.
        evaluations: The run's evaluations; None for none.
        measurements: The run's measurements; None for none.
    """

    def __init__(
        self,
        step: int,
        total: int,
        now: float,
        evaluations: Recurring | None = None,
        measurements: Recurring | None = None,
    ):
        self._latest = (step, now)
        self._total = total
        self._steps = self._seconds = 0.0
        self._calls = 0
        self._first_call = (0, 0.0)
        self._evaluations = _Durations(evaluations)
        self._measurements = _Durations(measurements)

    def evaluated(self, seconds: float) -> None:
        """Notes an evaluation since the last completed step, or a part of it: its duration."""
        self._evaluations.note(seconds)

    def measured(self, seconds: float, in_steps: float) -> None:
        """Notes a measurement since the last completed step: its duration, and how many steps cost as much."""
        self._measurements.note(seconds)
        self._measurements.in_steps = in_steps

    def step_done(self, step: int, now: float) -> None:
        """Notes that `step` was completed, and evaluated and measured where that was due, at clock time `now`."""
        aside = self._evaluations.settle() + self._measurements.settle()
        steps, seconds = step - self._latest[0], now - self._latest[1] - aside
        kept = max(math.exp(-seconds / _MEMORY_SECONDS), _KEPT_PER_STEP) if self._calls > 1 else 0.0
        self._steps, self._seconds = kept * self._steps + steps, kept * self._seconds + seconds
        self._first_call = (steps, seconds) if self._calls == 0 else self._first_call
        self._latest, self._calls = (step, now), self._calls + 1

    def seconds(self, steps_left: float) -> float | None:
        """Seconds for `steps_left` more steps and what is done among them; None before two calls are done."""
        if self._calls < 2:
            return None
        pace = self._seconds / self._steps
        at = (self._latest[0], self._total)
        total = steps_left * pace + self._evaluations.left(*at, pace) + self._measurements.left(*at, pace)
        first_steps, first_seconds = self._first_call
        if self._evaluations.to_come(*at):
            total += max(0.0, first_seconds - first_steps * pace) * _COMPILED_IN_EVALUATION
        return total


class _Durations:
    """How long what recurs takes: the first one compiles; of the last of the later ones the middle one counts.

    The lower middle of two: eigensolvers take longer before they have vectors to begin at, and a machine that is busy
    elsewhere makes some take long, never short.

    Args:
        plan: When it recurs; None for never.
    """

    def __init__(self, plan: Recurring | None):
        self._plan = plan
        self.in_steps = None if plan is None else plan.in_steps
        self._pending: float | None = None
        self._first: float | None = None
        self._later: collections.deque[float] = collections.deque(maxlen=_REMEMBERED)

    def note(self, seconds: float) -> None:
        """One since the last completed step, or a part of it."""
        self._pending = (self._pending or 0.0) + seconds

    def settle(self) -> float:
        """Ends what was noted, and returns its seconds."""
        noted, self._pending = self._pending, None
        if noted is None:
            return 0.0
        if self._first is None:
            self._first = noted
        else:
            self._later.append(noted)
        return noted

    def to_come(self, step: int, total: int) -> bool:
        """Whether the first is still to come."""
        return self._plan is not None and self._first is None and self._plan.left(step, total) > 0

    def left(self, step: int, total: int, pace: float) -> float:
        """Seconds of all that are left; `pace` is that of a step."""
        if self._plan is None:
            return 0.0
        left = self._plan.left(step, total)
        if self._later:
            return left * statistics.median_low(self._later)
        computed = math.inf if self.in_steps is None else self.in_steps * pace
        each = min(computed, math.inf if self._first is None else self._first)
        return left * each if math.isfinite(each) else 0.0
