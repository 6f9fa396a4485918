"""Nonlinear conjugate gradients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.directions.base import Kept, Slot, dot


def _polak_ribiere(new: tf.Tensor, old: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
    """`max(0, g'.(g' - g) / g.g)`: Polak and Ribiere 1969, with Powell's restriction (PR+)."""
    del d
    return tf.nn.relu(tf.math.divide_no_nan(dot(new, new - old), dot(old, old)))


def _hestenes_stiefel(new: tf.Tensor, old: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
    """`max(0, g'.y / d.y)`, `y = g' - g`: Hestenes and Stiefel 1952, restricted alike (HS+)."""
    return tf.nn.relu(tf.math.divide_no_nan(dot(new, new - old), dot(d, new - old)))


def _hager_zhang(new: tf.Tensor, old: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
    """`(y - 2 d |y|^2 / d.y).g' / d.y`, at least `-1 / (|d| min(0.01, |g|))`: Hager and Zhang 2005, (1.3) to (1.6)."""
    y = new - old
    along = dot(d, y)
    beta = tf.math.divide_no_nan(
        dot(y, new) - 2 * dot(d, new) * tf.math.divide_no_nan(dot(y, y), along), along
    )
    norm = tf.minimum(tf.norm(old), tf.constant(0.01, old.dtype))
    least = -tf.math.divide_no_nan(tf.ones_like(norm), tf.norm(d) * norm)
    return tf.maximum(beta, least)


BETAS: dict[str, Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "polak_ribiere": _polak_ribiere,
    "hestenes_stiefel": _hestenes_stiefel,
    "hager_zhang": _hager_zhang,
}
"""(gradient, gradient before, direction before) -> the share of the direction before."""
_RESTARTED = ("polak_ribiere", "hestenes_stiefel")


@dataclass(frozen=True, kw_only=True, slots=True)
class NonlinearCG:
    """`d' = -g' + beta d`.

    It begins anew with `-g'` where `d'` does not descend, after `restart_every` steps, and, but for Hager and Zhang's
    beta, where successive gradients are far from orthogonal: `|g'.g| >= 0.1 |g'|^2` (Powell 1977).

    Kept are two vectors.

    Attributes:
        beta: A key of `BETAS`.
        restart_every: Steps; 0 for as many as there are parameters.

    Raises:
        UserError: There is no such beta, or `restart_every` is negative.

    Source: Hager and Zhang 2006 (a survey), Nocedal and Wright 2006, section 5.2.
    """

    natural: ClassVar[bool] = False
    gradients_compared: ClassVar[bool] = True

    beta: str = "hager_zhang"
    restart_every: int = 0

    def __post_init__(self) -> None:
        if self.restart_every < 0:
            raise UserError(f"restart_every={self.restart_every}: accepted are 0 and more.")
        if self.beta not in BETAS:
            raise UserError(f"beta={self.beta!r}: accepted are {', '.join(BETAS)}.")

    def keeps(self, size: int) -> Mapping[str, Slot]:
        """See `base.Direction`."""
        vector = Slot((size,))
        return {"gradient": vector, "direction": vector, "since_restart": Slot((), "int64")}

    def direction(self, kept: Kept, gradient: tf.Tensor, theta: Tree) -> tuple[tf.Tensor, Kept]:
        """See `base.Direction`."""
        del theta
        old, d, since = kept["gradient"], kept["direction"], kept["since_restart"]
        found = BETAS[self.beta](gradient, old, d) * d - gradient
        goes_on = (since > 0) & (since < (self.restart_every or gradient.shape[0]))
        goes_on &= dot(found, gradient) < 0
        if self.beta in _RESTARTED:
            goes_on &= tf.abs(dot(gradient, old)) < 0.1 * dot(gradient, gradient)
        since = tf.where(goes_on, since, tf.zeros_like(since))
        return tf.where(goes_on, found, -gradient), {**kept, "since_restart": since}

    def accepted(self, kept: Kept, gradient: tf.Tensor, direction: tf.Tensor, length: tf.Tensor) -> Kept:
        """See `base.Direction`."""
        del length
        return {"gradient": gradient, "direction": direction, "since_restart": kept["since_restart"] + 1}

    def forgotten(self, kept: Kept) -> Kept:
        """See `base.Direction`."""
        return {**kept, "since_restart": tf.zeros_like(kept["since_restart"])}
