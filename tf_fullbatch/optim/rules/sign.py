"""Descent by the signs of the gradient."""

from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.rules.running_mean import AlongTheMean


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class SignDescent(AlongTheMean):
    """Moves every weight by the rate, against its gradient's sign or that of a running mean of gradients.

        m = momentum * m + (1 - momentum) * g       (m = 0 before the first step; m = g without momentum)
        p = p - lr * (sign(m) + weight_decay * p)

    A weight whose m is 0 stays.

    Args:
        learning_rate: What each weight moves by; see `UpdateRule`.
        momentum: In [0, 1).
        weight_decay: Of the decoupled decay.
        name: Name of the optimizer.
        **unsupported: See `UpdateRule`.

    Source: Bernstein et al. 2018 (arXiv 1802.04434), signSGD and Signum.
    """

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        name: str = "sign",
        **unsupported: Any,
    ) -> None:
        super().__init__(learning_rate, momentum, weight_decay, name, **unsupported)

    def direction(self, mean: Tree) -> Tree:
        """See `AlongTheMean`."""
        return [tf.sign(m) for m in mean]
