"""Layer-wise adaptive moments: LAMB."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.optim.rules.adaptive_moments import adam_direction, mean_squares
from tf_fullbatch.optim.rules.trust_ratios import is_scaled, trust_ratio
from tf_fullbatch.optim.rules.update_rule import Moved, Now, UpdateRule, refuse_outside


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class LAMB(UpdateRule):
    """Adam whose step of each matrix and kernel is as long as the rate times its norm.

        m = beta_1 m + (1 - beta_1) g,  v = beta_2 v + (1 - beta_2) g^2
        r = m_hat / (sqrt(v_hat) + epsilon) + weight_decay * p
        p = p - lr * (|p| / |r|) * r         (the ratio is 1 where a norm is 0, and of variables of less than two axes)

    The decay is within r and so within the ratio; `keras.optimizers.Lamb` leaves it out of both.

    Args:
        learning_rate: See `UpdateRule`.
        beta_1: Of the mean of gradients, in [0, 1).
        beta_2: Of the mean of their squares, in [0, 1).
        epsilon: Added to the root of the latter.
        weight_decay: Of the decay.
        name: Name of the optimizer.
        **unsupported: See `UpdateRule`.

    Source: You et al. 2020 (arXiv 1904.00962), algorithm 2, with phi the identity.
    """

    arguments: ClassVar[tuple[str, ...]] = ("beta_1", "beta_2", "epsilon")
    mean_of_gradients: ClassVar[str | None] = "momentum"

    def __init__(
        self,
        learning_rate: Any,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        weight_decay: float = 0.0,
        name: str = "lamb",
        **unsupported: Any,
    ) -> None:
        refuse_outside("beta_1", beta_1, 0, 1)
        refuse_outside("beta_2", beta_2, 0, 1)
        super().__init__(learning_rate, weight_decay, name, **unsupported)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def keeps(self) -> Mapping[str, float]:
        """See `UpdateRule`."""
        return {"momentum": 0.0, "velocity": 0.0}

    def moved(self, now: Now) -> Moved:
        """See `UpdateRule`."""
        mean, squares = now.running_mean("momentum", self.beta_1), mean_squares(now, "velocity", self.beta_2)
        direction = adam_direction(now, mean, squares, self.beta_1, self.beta_2, self.epsilon)
        change = []
        for p, u, decay in zip(now.theta, direction, now.decay, strict=True):
            r = u + trees.scalar(decay, p.dtype) * p
            ratio = trust_ratio(p, r) if is_scaled(p) else tf.ones([], p.dtype)
            change.append(-tf.cast(now.rate, p.dtype) * ratio * r)
        return Moved(change, {"momentum": mean, "velocity": squares})
