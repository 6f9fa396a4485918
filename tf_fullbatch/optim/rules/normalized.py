"""Descent along the gradient's direction, of a length that does not depend on the gradient's."""

from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.rules.running_mean import AlongTheMean


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class NormalizedDescent(AlongTheMean):
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

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        name: str = "normalized",
        **unsupported: Any,
    ) -> None:
        super().__init__(learning_rate, momentum, weight_decay, name, **unsupported)

    def direction(self, mean: Tree) -> Tree:
        """See `AlongTheMean`."""
        norm = trees.global_norm(mean)
        return [tf.math.divide_no_nan(m, tf.cast(norm, m.dtype)) for m in mean]
