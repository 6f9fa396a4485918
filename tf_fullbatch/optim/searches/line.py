"""A function along a line, and what a search finds on it."""

import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple, Protocol

from tf_fullbatch.errors import UserError


class Trial(NamedTuple):
    """A point of the line that was looked at.

    Attributes:
        length: t, how far from the start.
        value: phi(t); inf where it is not finite.
        slope: phi'(t); nan where it was not asked for, or is not finite.
    """

    length: float
    value: float
    slope: float = math.nan


class Start(NamedTuple):
    """Where a search begins.

    Attributes:
        value: phi(0).
        slope: phi'(0), negative.
        first: The length to try first.
        memory: What the search kept of the step before; empty at first.
        last: Length of the step before; nan where there is none, or the direction has a natural length.
    """

    value: float
    slope: float
    first: float
    memory: tuple[float, ...] = ()
    last: float = math.nan


class Found(NamedTuple):
    """What a search accepts.

    Attributes:
        trial: Where it is.
        satisfied: Whether all of the search's conditions hold there; where not, the value is lower than at the start.
        memory: To hand to the next search.
    """

    trial: Trial
    satisfied: bool
    memory: tuple[float, ...] = ()


class Line:
    """phi(t) = L(theta + t d), asked and counted.

    Args:
        value: phi.
        value_and_slope: phi and its derivative.

    Attributes:
        trials: Points looked at, the start not counted.
    """

    def __init__(
        self,
        value: Callable[[float], float],
        value_and_slope: Callable[[float], tuple[float, float]],
    ):
        self._value, self._value_and_slope = value, value_and_slope
        self.trials = 0

    def at(self, length: float) -> Trial:
        """The value there."""
        self.trials += 1
        value = self._value(length)
        return Trial(length, value if math.isfinite(value) else math.inf)

    def with_slope(self, length: float) -> Trial:
        """Value and slope there."""
        self.trials += 1
        value, slope = self._value_and_slope(length)
        if not (math.isfinite(value) and math.isfinite(slope)):
            return Trial(length, math.inf)
        return Trial(length, value, slope)


class Search(Protocol):
    """A rule for the length of a step along a direction of descent.

    Attributes:
        values_compared: Whether values of different steps are, which then have to be of one function.
    """

    values_compared: ClassVar[bool]

    def search(self, line: Line, start: Start) -> Found | None:
        """A length that the rule accepts; None where there is none within its most trials.

        Args:
            line: The function along the direction.
            start: Where it begins.
        """


def is_lower(trial: Trial, start: Start, decrease: float, slack: float) -> bool:
    """The condition of sufficient decrease: `phi(t) <= phi(0) + decrease t phi'(0) + slack |phi(0)|`.

    A promise that is lost in the value's rounding is not met by an equal value.

    Args:
        trial: Where.
        start: Where the line begins.
        decrease: c1.
        slack: What rounding may add to a value, as a share of it.

    Source: Armijo 1966; Nocedal and Wright 2006, (3.4).
    """
    most = start.value + slack * abs(start.value)
    return trial.value < most and trial.value <= most + decrease * trial.length * start.slope


def check_conditions(name: str, decrease: float, curvature: float) -> None:
    """Refuses conditions of Wolfe's that no length need meet.

    Args:
        name: Of the search.
        decrease: The share of the promised decrease that is asked for.
        curvature: The share of the slope that may be left.

    Raises:
        UserError: The second is less than the first.
    """
    if curvature < decrease:
        raise UserError(
            f"--line_search={name} with decrease={decrease:g} and curvature={curvature:g}: curvature has to be at "
            "least decrease, or no length need meet both."
        )
