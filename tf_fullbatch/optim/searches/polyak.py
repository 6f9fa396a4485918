"""The length that would reach a known lowest value, were the function convex."""

from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.optim.searches.line import Found, Line, Start, Trial
from tf_fullbatch.settings.fields import Settings, setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Polyak(Settings):
    """`t = min((phi(0) - lowest) / -phi'(0), most_length)`; along the negative gradient `(L - lowest) / |g|^2`.

    Nothing is looked at along the line.

    Attributes:
        lowest: The least value of the loss, or a bound below it.
        most_length: The largest t.

    Source: Polyak 1987, section 5.3.
    """

    summary: ClassVar[str] = "the length that would reach a known lowest value"
    values_compared: ClassVar[bool] = False

    lowest: float = setting(0.0, "The least value of the loss, or a bound below it.")
    most_length: float = setting(1e9, "The largest length.", above=0)

    def search(self, line: Line, start: Start) -> Found | None:
        """See `line.Search`; None where the value is not above `lowest`."""
        del line
        if not start.value > self.lowest:
            return None
        length = min((start.value - self.lowest) / -start.slope, self.most_length)
        return Found(Trial(length, start.value), satisfied=True)
