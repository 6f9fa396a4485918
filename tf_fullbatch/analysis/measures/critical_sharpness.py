"""--measure=critical_sharpness: the curvature along the update, by forward passes alone."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity

if TYPE_CHECKING:
    import numpy as np

HALVINGS = 4
"""Of the bracket [2^k, 2^(k+1)]: to 1/16 of its lower end."""
BELOW, ABOVE = 12, 32
"""Exponents of 2 that are tried, from the learning rate's on. Further below, rounding decides; further above, nothing
curves."""

_EXPONENT = "exponent"


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticalSharpnessSettings(MeasureSettings):
    """Settings of `CriticalSharpness`."""

    summary: ClassVar[str] = "curvature along the update, by about 7 forward passes, without Hessian products"
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "critical_sharpness": Quantity(
            "2 / t, t the smallest rate at which the update would not lower the training loss. For gradient descent on "
            "a quadratic g.Hg / |g|^2: directional, at most the sharpness. Exact to 1/17, from below. "
            "nan where no t was found within 2^-12 and 2^32 rates: the update is 0, no descent, or meets no rise."
        ),
        "forward_passes": Quantity("Forward passes over the training set that the search took.", drawn="not"),
    }

    def build(self) -> "CriticalSharpness":
        """The measure."""
        return CriticalSharpness()


class CriticalSharpness(Measure):
    """The rate at which a step along the update ceases to lower the loss, found on a doubling grid, then by bisection.

    With u the update per unit rate (`update / rate`), t is the smallest `2^k` for which `L(w + t u) > L(w)`, then
    refined between it and its half to 1/16. The search begins at the k of the measurement before, so that it takes 2 +
    4 passes as long as curvature changes little, and one for L(w).

    Source: Kalra et al. 2026 (arXiv 2601.16979); the full batch frees it of noise.
    """

    def __init__(self) -> None:
        self._exponent: int | None = None

    def figures(self, moment: Moment) -> list[Figure]:
        """See `Measure.figures`."""
        from tf_fullbatch.core import trees

        objective, update, rate = moment.objective, moment.update(), float(moment.learning_rate)
        passes = 0
        if not (0 < rate < math.inf and 0 < float(trees.global_norm(update)) < math.inf):
            return _figures(math.nan, passes)
        theta = objective.theta()

        def loss(t: float) -> float:
            nonlocal passes
            passes += 1
            return float(objective.loss(trees.add_scaled(theta, t / rate, update) if t else theta))

        start = loss(0)
        if not math.isfinite(start):
            return _figures(math.nan, passes)
        # What is not finite is above too.
        exponent, t = smallest_rise(lambda t: not loss(t) <= start, rate, self._exponent)
        if t is not None:
            self._exponent = exponent
        return _figures(math.nan if t is None else 2 / t, passes)

    def state(self) -> "dict[str, np.ndarray]":
        """Where the search begins."""
        import numpy as np

        return {} if self._exponent is None else {_EXPONENT: np.asarray(self._exponent)}

    def restore(self, arrays: "Mapping[str, np.ndarray]") -> None:
        """Takes back `state`."""
        self._exponent = int(arrays[_EXPONENT]) if _EXPONENT in arrays else None


def smallest_rise(
    rises: Callable[[float], bool], rate: float, exponent: int | None = None
) -> tuple[int, float | None]:
    """The smallest t with a rise: on the grid of `2^k`, then by bisection to 1/16 of `2^k`.

    Where there is one crossing the result does not depend on where the search begins.

    Args:
        rises: Whether there is a rise at t.
        rate: What the exponents tried are near to.
        exponent: k of a bracket `[2^k, 2^(k+1)]` to begin at; None to begin at the rate.

    Returns:
        k, and t with a rise at t and none at t - 2^k / 16; None for t where the exponents end before a bracket.
    """
    near = math.floor(math.log2(rate))
    lowest, highest = near - BELOW, near + ABOVE
    k = min(max(near if exponent is None else exponent, lowest), highest)
    if rises(2.0 ** (k + 1)):
        while rises(2.0**k):
            k -= 1
            if k < lowest:
                return k, None
    else:
        k += 1
        while not rises(2.0 ** (k + 1)):
            k += 1
            if k > highest:
                return k, None
    low, high = 2.0**k, 2.0 ** (k + 1)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if rises(middle) else (middle, high)
    return k, high


def _figures(sharpness: float, passes: int) -> list[Figure]:
    return [Figure("critical_sharpness", sharpness), Figure("forward_passes", passes)]
