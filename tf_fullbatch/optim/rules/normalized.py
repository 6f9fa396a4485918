"""Descent along the gradient's direction, of a length that does not depend on the gradient's."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.optim.rules.update_rule import Moved, Now, UpdateRule, refuse_outside


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class NormalizedDescent(UpdateRule):
    """Moves the weights by the rate, against the gradient or a running mean of gradients.

        m = momentum * m + (1 - momentum) * g       (m = 0 before the first step; m = g without momentum)
        p = p - lr * (m / |m| + weight_decay * p),  |m| over all weights

    Where m is 0 nothing but the decay moves.

    Args:
        learning_rate: The length of a step; see `UpdateRule`.
        momentum: In [0, 1).
        weight_decay: Of the decoupled decay.
        name: Name of the optimizer.
        **unsupported: See `UpdateRule`.

    Source: Cutkosky and Mehta 2020 (arXiv 2002.03305), algorithm 1.
    """

    arguments: ClassVar[tuple[str, ...]] = ("momentum",)
    mean_of_gradients: ClassVar[str | None] = "momentum"

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        name: str = "normalized",
        **unsupported: Any,
    ) -> None:
        refuse_outside("momentum", momentum, 0, 1)
        super().__init__(learning_rate, weight_decay, name, **unsupported)
        self.momentum = momentum

    def keeps(self) -> Mapping[str, float]:
        """See `UpdateRule`."""
        return {"momentum": 0.0} if self.momentum else {}

    def moved(self, now: Now) -> Moved:
        """See `UpdateRule`."""
        mean = now.running_mean("momentum", self.momentum)
        norm = trees.global_norm(mean)
        return Moved(
            now.change([tf.math.divide_no_nan(m, tf.cast(norm, m.dtype)) for m in mean]),
            {"momentum": mean} if self.momentum else {},
        )
