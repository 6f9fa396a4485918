"""Backtracking to a sufficient decrease, of the last value or of several, by forward passes alone."""

import math
from dataclasses import dataclass

from tf_fullbatch.optim.searches.line import Found, Line, Start, is_lower


@dataclass(frozen=True, kw_only=True, slots=True)
class Armijo:
    """The first of `first, shrink * first, ...` with `phi(t) <= phi(0) + decrease t phi'(0)`.

    Attributes:
        decrease: c1.
        shrink: Factor from one trial to the next.
        most: Most trials.
        slack: See `is_lower`.

    Source: Armijo 1966; Nocedal and Wright 2006, algorithm 3.1.
    """

    decrease: float = 1e-4
    shrink: float = 0.5
    most: int = 15
    slack: float = 0.0

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
class LargestOfSeveral(Armijo):
    """Backtracking to a sufficient decrease below the largest of the last values.

    Attributes:
        window: How many values.

    Source: Grippo, Lampariello and Lucidi 1986.
    """

    window: int = 10

    def search(self, line: Line, start: Start) -> Found | None:
        """See `line.Search`; the memory has the last values."""
        values = (*start.memory, start.value)[-self.window :]
        found = Armijo.search(self, line, start._replace(value=max(values)))
        return None if found is None else found._replace(memory=values)


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanOfAll(Armijo):
    """Backtracking to a sufficient decrease below a weighted mean of all values so far.

        Q' = eta Q + 1,   C' = (eta Q C + phi(0)) / Q',   from Q = 1 and C = phi(0)

    Attributes:
        forgetting: eta, in [0, 1]: 0 is the monotone search, 1 the plain mean.

    Source: Zhang and Hager 2004, (1.4) to (1.6).
    """

    forgetting: float = 0.85

    def search(self, line: Line, start: Start) -> Found | None:
        """See `line.Search`; the memory is (Q, C)."""
        weight, mean = start.memory or (0.0, math.nan)
        total = self.forgetting * weight + 1
        mean = (self.forgetting * weight * mean + start.value) / total if weight else start.value
        found = Armijo.search(self, line, start._replace(value=mean))
        return None if found is None else found._replace(memory=(total, mean))
