"""Backtracking to a sufficient decrease, of the last value or of several, by forward passes alone."""

from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.optim.searches.line import Found, Line, Start, is_lower
from tf_fullbatch.settings.fields import Settings, setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Armijo(Settings):
    """The first of `first, shrink * first, ...` with `phi(t) <= phi(0) + decrease t phi'(0)`.

    Attributes:
        decrease: c1.
        shrink: Factor from one trial to the next.
        most: Most trials.
        slack: See `is_lower`.

    Source: Armijo 1966; Nocedal and Wright 2006, algorithm 3.1.
    """

    summary: ClassVar[str] = "backtracking by forward passes alone"
    values_compared: ClassVar[bool] = False

    decrease: float = setting(1e-4, "c1, the share of the promised decrease to ask for.", above=0, below=1)
    shrink: float = setting(0.5, "Factor from one trial to the next.", above=0, below=1)
    most: int = setting(15, "Most trials.", minimum=1)
    slack: float = setting(0.0, "What rounding may add to a value, as a share of it.", minimum=0)

    def search(self, line: Line, start: Start) -> Found | None:
        """See `line.Search`."""
        length = start.first
        for _ in range(self.most):
            trial = line.at(length)
            if is_lower(trial, start, self.decrease, self.slack):
                return Found(trial, satisfied=True)
            length *= self.shrink
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class NonMonotone(Armijo):
    """Backtracking to a sufficient decrease below a mean of all values so far, or the largest of the last ones.

        Q' = forgetting Q + 1,   C' = (forgetting Q C + phi(0)) / Q',   from Q = 1 and C = phi(0)

    Attributes:
        reference: "mean", below C; or "largest", below the largest of the last values.
        forgetting: Of the mean, in [0, 1]: 0 is the monotone search, 1 the plain mean.
        window: How many values, the present one among them, the largest is of.

    Source: Zhang and Hager 2004, (1.4) to (1.6); Grippo, Lampariello and Lucidi 1986.
    """

    summary: ClassVar[str] = "backtracking below a mean of the values so far"
    values_compared: ClassVar[bool] = True

    reference: str = setting("mean", "What to go below.", choices=("mean", "largest"))
    forgetting: float = setting(0.85, "Of the mean: 0 is monotone, 1 the plain mean.", minimum=0, maximum=1)
    window: int = setting(10, "Values that the largest is of.", minimum=1, maximum=60)

    def search(self, line: Line, start: Start) -> Found | None:
        """See `line.Search`; the memory is (Q, C), or has the last values."""
        if self.reference == "largest":
            memory = (*start.memory, start.value)[-self.window :]
            reference = max(memory)
        else:
            weight, mean = start.memory or (0.0, 0.0)
            total = self.forgetting * weight + 1
            reference = (self.forgetting * weight * mean + start.value) / total
            memory = (total, reference)
        found = Armijo.search(self, line, start._replace(value=reference))
        return None if found is None else found._replace(memory=memory)
