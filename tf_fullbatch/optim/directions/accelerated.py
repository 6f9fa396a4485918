"""Accelerated gradient steps: the gradient is taken ahead of the weights, at an extrapolation of the last two."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.directions.base import Kept, Slot, dot


@dataclass(frozen=True, kw_only=True, slots=True)
class Accelerated:
    """FISTA's extrapolation, with restarts.

        x' = y - eta g(y),    t' = (p + sqrt(q + r t^2)) / 2,    y' = x' + ((t - 1) / t') (x' - x)

    from y = x and t = 1. Where the momentum leads uphill it begins anew, `t' = 1` and `y' = x'`: by the "gradient"
    scheme where `g(y) . (x' - x) > 0`, by the "function" scheme where `L(x') > L(x)`.

    Attributes:
        restart: "gradient", "function" or "none".
        p: 1 in the original; smaller is lazier.
        q: 1 in the original.
        r: 4 in the original.

    Sources: Beck and Teboulle 2009, (4.1) to (4.3); O'Donoghue and Candes 2015, section 3.2, for restarts; Liang, Luo
    and Schoenlieb 2022, for p, q and r.
    """

    natural: ClassVar[bool] = False
    gradients_compared: ClassVar[bool] = False

    restart: str = "gradient"
    p: float = 1.0
    q: float = 1.0
    r: float = 4.0

    def keeps(self, size: int) -> Mapping[str, Slot]:
        """y and t (zero before the first step); the value at x for the function scheme, else zero."""
        return {"y": Slot((size,)), "t": Slot(), "value": Slot(dtype="float64")}

    def direction(self, kept: Kept, gradient: tf.Tensor, theta: Tree) -> tuple[tf.Tensor, Kept]:
        """See `base.Direction`."""
        del theta
        return -gradient, kept

    def extrapolated(
        self, kept: Kept, x: tf.Tensor, new: tf.Tensor, gradient: tf.Tensor, value: tf.Tensor
    ) -> Kept:
        """What is kept after a step from x to `new`.

        Args:
            kept: What was kept.
            x: `[parameters]`, the weights before.
            new: `[parameters]`, x'.
            gradient: `[parameters]`, g(y).
            value: float64 scalar, `L(x')`; for the function scheme.
        """
        first = kept["t"] == 0
        t = tf.where(first, tf.ones_like(kept["t"]), kept["t"])
        later = (self.p + tf.sqrt(self.q + self.r * t * t)) / 2
        uphill = tf.constant(False)
        if self.restart == "gradient":
            uphill = dot(gradient, new - x) > 0
        elif self.restart == "function":
            uphill = ~first & (value > kept["value"])
        ahead = new + (t - 1) / later * (new - x)
        return {
            "y": tf.where(uphill, new, ahead),
            "t": tf.where(uphill, tf.ones_like(later), later),
            "value": value,
        }

    def accepted(self, kept: Kept, gradient: tf.Tensor, direction: tf.Tensor, length: tf.Tensor) -> Kept:
        """See `base.Direction`; `extrapolated` says what is kept."""
        del gradient, direction, length
        return kept

    def forgotten(self, kept: Kept) -> Kept:
        """See `base.Direction`; nothing, the step is along the gradient as it is."""
        return kept
