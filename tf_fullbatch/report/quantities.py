"""What arms are compared by: accuracy, or the loss where a run has none; in numbers and in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tf_fullbatch.report.run_records import RecordedRun

MINUS = "\N{MINUS SIGN}"
_SIGNIFICANT = 4
_MOST_DECIMALS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """A figure at the end of training.

    Attributes:
        name: accuracy or loss.
        unit: Of a difference.
        higher_is_better: Whether more of it is better.
        decimals: Of every number; None where they follow from its size and spread.
    """

    name: str
    unit: str
    higher_is_better: bool
    decimals: int | None

    def text(self, mean: float, spread: float | None = None) -> str:
        """A number as tables show it, with its spread where there is one: "95.00 ± 1.00", "0.3120 ± 0.0052"."""
        decimals = self.decimals_of(mean, spread)
        return number(mean, decimals) + ("" if spread is None else f" ± {number(spread, decimals)}")

    def signed(self, mean: float, spread: float | None = None) -> str:
        """A difference with its sign, and a minus as long as the plus."""
        text = number(mean, self.decimals_of(mean, spread), sign="+")
        return text[1:] if float(text) == 0 else text.replace("-", MINUS)

    def decimals_of(self, mean: float, spread: float | None = None) -> int | None:
        """The decimals of a number: the spread's first two digits, else four of its own; None: a power of ten."""
        if self.decimals is not None:
            return self.decimals
        digits, measure = (2, spread) if spread else (_SIGNIFICANT, abs(mean))
        if not (np.isfinite(mean) and np.isfinite(measure)) or abs(mean) >= 10**_MOST_DECIMALS:
            return None
        decimals = digits - 1 - int(np.floor(np.log10(measure))) if measure else _SIGNIFICANT - 1
        own = _SIGNIFICANT - 1 - int(np.floor(np.log10(abs(mean)))) if mean else _MOST_DECIMALS
        # A spread far below the mean does not make its further digits worth reading.
        return None if decimals > 2 * _MOST_DECIMALS else min(max(decimals, 0), max(own, 0), _MOST_DECIMALS)

    def better(self, a: float, b: float) -> bool:
        """Whether a is better than b."""
        return a > b if self.higher_is_better else a < b


ACCURACY = Quantity(name="accuracy", unit="percentage points", higher_is_better=True, decimals=2)
LOSS = Quantity(name="loss", unit="", higher_is_better=False, decimals=None)
QUANTITIES = (ACCURACY, LOSS)
"""In the order in which they are preferred for the figure of an arm."""


def number(value: float, decimals: int | None, sign: str = "") -> str:
    """A number with so many decimals, or as a power of ten."""
    return f"{value:{sign}.3g}" if decimals is None else f"{value:{sign}.{decimals}f}"


def loss_words(runs: Iterable["RecordedRun"]) -> str:
    """What the losses of runs are, with their unit."""
    kinds = {run.has_cross_entropy for run in runs if run.started}
    if kinds == {True}:
        return "cross-entropy (nats)"
    return "cross-entropy (nats) or objective" if True in kinds else "objective"


def quantity_words(quantity: Quantity, runs: Iterable["RecordedRun"]) -> str:
    """A quantity with its unit."""
    return "accuracy (%)" if quantity is ACCURACY else loss_words(runs)


def error_words(quantity: Quantity, runs: Iterable["RecordedRun"]) -> str:
    """What is to be low: the classification error, or the loss, with its unit."""
    return "error (%)" if quantity is ACCURACY else loss_words(runs)
