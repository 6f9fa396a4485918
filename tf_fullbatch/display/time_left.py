"""How long a run will still take."""

import math
from dataclasses import dataclass

_MEMORY_SECONDS = 70.0
_KEPT_PER_STEP = 0.85
"""How much of the earlier pace counts after a step that takes long."""
_COMPILED_IN_EVALUATION = 0.2
"""What an evaluation takes to compile, in what the first step did: 0.14 to 0.3 of five runs on two cores."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluations:
    """The evaluations of a run.

    Attributes:
        every: Steps between two of them; there is one after the last step in any case.
        in_steps: How many steps' gradients cost as much as one of them, by what is computed.
    """

    every: int
    in_steps: float

    def left(self, step: int, total: int) -> int:
        """How many come after step `step` of `total`."""
        last = 1 if total % self.every and step < total else 0
        return total // self.every - step // self.every + last


class TimeLeft:
    """Estimates the time left: what steps take, by the last minute or steps, and what evaluations take.

    Checkpoints and whatever else happens between steps is part of the steps. What comes first compiles and is left out:
    nothing is said before there is a second step, or call of several; an evaluation counts what as many forward passes
    would take until there was a second one, and before the first one its compilation is still to come.

    Args:
        step: Steps done before this process.
        total: The last step.
        now: Clock time.
        evaluations: The run's evaluations; None for none.
    """

    def __init__(self, step: int, total: int, now: float, evaluations: Evaluations | None = None):
        self._latest = (step, now)
        self._total = total
        self._steps = self._seconds = 0.0
        self._calls = 0
        self._first_call = (0, 0.0)
        self._evaluations = evaluations
        self._evaluating: float | None = None
        self._first_evaluation: float | None = None
        self._later_evaluations = 0.0

    def evaluated(self, seconds: float) -> None:
        """Notes an evaluation since the last completed step, or a part of it: its duration."""
        self._evaluating = (self._evaluating or 0.0) + seconds

    def step_done(self, step: int, now: float) -> None:
        """Notes that `step` was completed, and evaluated where that was due, at clock time `now`."""
        steps, seconds = step - self._latest[0], now - self._latest[1] - (self._evaluating or 0.0)
        self._note_evaluation()
        kept = max(math.exp(-seconds / _MEMORY_SECONDS), _KEPT_PER_STEP) if self._calls > 1 else 0.0
        self._steps, self._seconds = kept * self._steps + steps, kept * self._seconds + seconds
        self._first_call = (steps, seconds) if self._calls == 0 else self._first_call
        self._latest, self._calls = (step, now), self._calls + 1

    def seconds(self, steps_left: float) -> float | None:
        """Seconds for `steps_left` more steps and the evaluations among them; None before two calls are done."""
        if self._calls < 2:
            return None
        pace = self._seconds / self._steps
        return steps_left * pace + self._seconds_evaluating(pace)

    def _note_evaluation(self) -> None:
        if self._evaluating is None:
            return
        if self._first_evaluation is None:
            self._first_evaluation = self._evaluating
        elif not self._later_evaluations:
            self._later_evaluations = self._evaluating
        else:
            kept = _KEPT_PER_STEP
            self._later_evaluations = kept * self._later_evaluations + (1 - kept) * self._evaluating
        self._evaluating = None

    def _seconds_evaluating(self, pace: float) -> float:
        if self._evaluations is None:
            return 0.0
        left = self._evaluations.left(self._latest[0], self._total)
        if self._later_evaluations:
            return left * self._later_evaluations
        computed = self._evaluations.in_steps * pace
        if self._first_evaluation is not None:
            return left * min(computed, self._first_evaluation)
        first_steps, first_seconds = self._first_call
        compiling = max(0.0, first_seconds - first_steps * pace) * _COMPILED_IN_EVALUATION
        return left * computed + (compiling if left else 0.0)
