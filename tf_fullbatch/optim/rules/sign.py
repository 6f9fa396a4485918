"""Descent by the signs of the gradient."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.optim.rules.update_rule import Moved, Now, UpdateRule, refuse_outside


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class SignDescent(UpdateRule):
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

    arguments: ClassVar[tuple[str, ...]] = ("momentum",)
    mean_of_gradients: ClassVar[str | None] = "momentum"

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        name: str = "sign",
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
        return Moved(now.change([tf.sign(m) for m in mean]), {"momentum": mean} if self.momentum else {})
