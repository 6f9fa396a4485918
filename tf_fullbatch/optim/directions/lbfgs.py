"""Limited-memory BFGS."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.directions.base import Kept, Slot, dot

LEAST_CURVATURE = 1e-10
"""Without damping a pair is left out whose `s.y` is not above this times `|s|^2`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LBFGS:
    """`d = -H g`, H the inverse BFGS matrix of the last pairs `s = w' - w`, `y = g' - g`, from `(s.y / y.y) I`.

    With damping (Powell 1978), y is moved towards `B s` until `s.y >= damping s.B s`, which keeps H positive definite
    where the loss is not convex; `B s` is known without B, as `-length * g` of the step's beginning. Without, pairs of
    too little curvature are left out. `rho` and `gamma` are of the damped y. The first direction is the negative
    gradient, no longer than 1.

    Kept are two vectors per pair, and two more.

    Attributes:
        history: Most pairs.
        damping: Least `s.y / s.B s`, below 1; 0 for no damping.

    Raises:
        UserError: A value is out of its range.

    Source: Nocedal and Wright 2006, algorithms 7.4 and 7.5, procedure 18.2.
    """

    natural: ClassVar[bool] = True
    gradients_compared: ClassVar[bool] = True

    history: int = 10
    damping: float = 0.2

    def __post_init__(self) -> None:
        if self.history < 1 or not 0 <= self.damping < 1:
            raise UserError(
                f"history={self.history}, damping={self.damping}: accepted are at least 1, and from 0 to below 1."
            )

    def keeps(self, size: int) -> Mapping[str, Slot]:
        """See `base.Direction`."""
        vector = Slot((size,))
        pairs = {name: vector for row in range(self.history) for name in (f"step_{row}", f"change_{row}")}
        return pairs | {
            "products": Slot((self.history,)),
            "pairs": Slot((), "int64"),
            "skipped": Slot((), "int64"),
            "gradient": vector,
            "step": vector,
            "length": Slot(),
            "begun": Slot((), "bool"),
        }

    def direction(self, kept: Kept, gradient: tf.Tensor, theta: Tree) -> tuple[tf.Tensor, Kept]:
        """See `base.Direction`."""
        del theta
        kept = tf.cond(kept["begun"], lambda: self._with_pair(kept, gradient), lambda: dict(kept))
        norm = tf.norm(gradient)
        first = -gradient * tf.minimum(tf.ones_like(norm), tf.math.divide_no_nan(tf.ones_like(norm), norm))
        found = tf.cond(kept["pairs"] > 0, lambda: -self._times_inverse(kept, gradient), lambda: first)
        return found, kept

    def accepted(self, kept: Kept, gradient: tf.Tensor, direction: tf.Tensor, length: tf.Tensor) -> Kept:
        """See `base.Direction`."""
        t = tf.cast(length, gradient.dtype)
        after = {"gradient": gradient, "step": t * direction, "length": t, "begun": tf.constant(True)}
        return {**kept, **after}

    def forgotten(self, kept: Kept) -> Kept:
        """See `base.Direction`; how many pairs were left out is not forgotten."""
        return {**kept, "pairs": tf.zeros_like(kept["pairs"]), "begun": tf.constant(False)}

    def _with_pair(self, kept: Kept, gradient: tf.Tensor) -> dict[str, tf.Tensor]:
        """What is kept with the pair of the last step, unless it is left out."""
        s, y = kept["step"], gradient - kept["gradient"]
        if self.damping:
            model = -kept["length"] * kept["gradient"]  # B s
            curvature, of_model = dot(s, y), dot(s, model)
            share = tf.math.divide_no_nan((1 - self.damping) * of_model, of_model - curvature)
            share = tf.where(curvature < self.damping * of_model, share, tf.ones_like(share))
            y = share * y + (1 - share) * model
        product, square = dot(s, y), dot(s, s)
        takes = (product > LEAST_CURVATURE * square) & (square > 0)
        before = {**kept, "skipped": kept["skipped"] + tf.cast(~takes, tf.int64)}
        return tf.cond(takes, lambda: self._with_newest(before, s, y, product), lambda: before)

    def _with_newest(
        self, kept: Kept, s: tf.Tensor, y: tf.Tensor, product: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Row 0 is the newest pair: all others go one row down, which copies none of them."""
        down = {
            f"{of}_{row}": kept[f"{of}_{row - 1}"]
            for row in range(1, self.history)
            for of in ("step", "change")
        }
        products = tf.concat([product[None], kept["products"][:-1]], axis=0)
        pairs = tf.minimum(kept["pairs"] + 1, self.history)
        return {**kept, **down, "step_0": s, "change_0": y, "products": products, "pairs": pairs}

    def _times_inverse(self, kept: Kept, gradient: tf.Tensor) -> tf.Tensor:
        """`H g`, by the two loops."""
        steps, changes = ([kept[f"{of}_{row}"] for row in range(self.history)] for of in ("step", "change"))
        products = tf.unstack(kept["products"])
        held = [tf.cast(row < kept["pairs"], gradient.dtype) for row in range(self.history)]
        q, shares = gradient, []
        for s, y, product, is_held in zip(steps, changes, products, held, strict=True):
            share = is_held * tf.math.divide_no_nan(dot(s, q), product)
            q -= share * y
            shares.append(share)
        r = products[0] / dot(changes[0], changes[0]) * q
        for row in reversed(range(self.history)):
            other = held[row] * tf.math.divide_no_nan(dot(changes[row], r), products[row])
            r += (shares[row] - other) * steps[row]
        return r
