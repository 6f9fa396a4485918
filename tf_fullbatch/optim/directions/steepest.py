"""The negative gradient, with or without momentum."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.directions.base import Kept, Slot


@dataclass(frozen=True, kw_only=True, slots=True)
class Steepest:
    """`d = -(g + momentum * buf)` with Nesterov, `-buf` without, `buf = momentum * buf + g`; `-g` at momentum 0.

    With momentum one vector is kept.

    Attributes:
        momentum: In [0, 1).
        nesterov: Look one momentum step ahead.

    Source: `rules.gradient_descent.GradientDescent` has the same directions.
    """

    natural: ClassVar[bool] = False
    gradients_compared: ClassVar[bool] = False

    momentum: float = 0.0
    nesterov: bool = True

    def keeps(self, size: int) -> Mapping[str, Slot]:
        """See `base.Direction`."""
        return {"momentum": Slot((size,))} if self.momentum else {}

    def direction(self, kept: Kept, gradient: tf.Tensor, theta: Tree) -> tuple[tf.Tensor, Kept]:
        """See `base.Direction`."""
        del theta
        if not self.momentum:
            return -gradient, kept
        buffer = self.momentum * kept["momentum"] + gradient
        return -(gradient + self.momentum * buffer) if self.nesterov else -buffer, {"momentum": buffer}

    def accepted(self, kept: Kept, gradient: tf.Tensor, direction: tf.Tensor, length: tf.Tensor) -> Kept:
        """See `base.Direction`."""
        del gradient, direction, length
        return kept

    def forgotten(self, kept: Kept) -> Kept:
        """See `base.Direction`."""
        return {name: tf.zeros_like(value) for name, value in kept.items()}
