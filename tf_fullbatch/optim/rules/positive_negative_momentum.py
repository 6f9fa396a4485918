"""Positive-negative momentum: PNM and AdaPNM."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.rules.adaptive_moments import adam_direction, mean_squares
from tf_fullbatch.optim.rules.update_rule import Moved, Now, UpdateRule, refuse_outside


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class PNM(UpdateRule):
    """Descent along the difference of two momentum buffers that take turns.

        m_t = beta_1^2 m_(t-2) + (1 - beta_1^2) g_t,
        p   = p - lr * ([(1 + beta_0) m_t - beta_0 m_(t-1)] / sqrt((1 + beta_0)^2 + beta_0^2) + weight_decay * p)

    The buffers are 0 before the first steps, uncorrected. It was made to amplify the noise of mini-batches; without it,
    an extrapolation of the momentum is what is left.

    Args:
        learning_rate: See `UpdateRule`.
        beta_1: Momentum, in [0, 1).
        beta_0: Weight of the negative momentum.
        weight_decay: Of the decoupled decay.
        name: Name of the optimizer.
        **unsupported: See `UpdateRule`.

    Source: Xie et al. 2021 (arXiv 2103.17182), algorithm 1.
    """

    arguments: ClassVar[tuple[str, ...]] = ("beta_1", "beta_0")
    mean_of_gradients: ClassVar[str | None] = "momentum"

    def __init__(
        self,
        learning_rate: Any,
        beta_1: float = 0.9,
        beta_0: float = 1.0,
        weight_decay: float = 0.0,
        name: str = "pnm",
        **unsupported: Any,
    ) -> None:
        refuse_outside("beta_1", beta_1, 0, 1)
        refuse_outside("beta_0", beta_0, 0, math.inf)
        super().__init__(learning_rate, weight_decay, name, **unsupported)
        self.beta_1, self.beta_0 = beta_1, beta_0

    def keeps(self) -> Mapping[str, float]:
        """See `UpdateRule`."""
        return {"momentum": 0.0, "previous_momentum": 0.0}

    def moved(self, now: Now) -> Moved:
        """See `UpdateRule`."""
        kept, combined = self.combined(now)
        return Moved(now.change(combined), kept)

    def combined(self, now: Now) -> tuple[dict[str, Tree], Tree]:
        """What is kept of the momenta, and their weighted difference."""
        square = self.beta_1**2
        length = math.hypot(1 + self.beta_0, self.beta_0)
        last = now.kept["momentum"]
        # The buffer of two steps ago is the one that is updated: the two trade places at each step.
        new = [
            trees.scalar(square, g.dtype) * m + trees.scalar(1 - square, g.dtype) * g
            for m, g in zip(now.kept["previous_momentum"], now.gradient, strict=True)
        ]
        positive = trees.scale((1 + self.beta_0) / length, new)
        combined = trees.add_scaled(positive, -self.beta_0 / length, last)
        return {"momentum": new, "previous_momentum": list(last)}, combined


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class AdaPNM(PNM):
    """PNM's difference of momenta over the root of the mean of squared gradients.

        v     = beta_2 v + (1 - beta_2) g^2,   v_max = max(v_max, v)     (v_max = v without amsgrad)
        p     = p - lr * (combined / (1 - beta_1^t) / (sqrt(v_max / (1 - beta_2^t)) + epsilon) + weight_decay * p)

    Args:
        learning_rate: See `UpdateRule`.
        beta_1: Momentum, in [0, 1).
        beta_2: Of the mean of squares, in [0, 1).
        beta_0: Weight of the negative momentum.
        epsilon: Added to the root.
        amsgrad: Divide by the largest mean so far.
        weight_decay: Of the decoupled decay.
        name: Name of the optimizer.
        **unsupported: See `UpdateRule`.

    Source: Xie et al. 2021 (arXiv 2103.17182), algorithm 2.
    """

    arguments: ClassVar[tuple[str, ...]] = ("beta_1", "beta_2", "beta_0", "epsilon", "amsgrad")

    def __init__(
        self,
        learning_rate: Any,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        beta_0: float = 1.0,
        epsilon: float = 1e-8,
        amsgrad: bool = True,
        weight_decay: float = 0.0,
        name: str = "adapnm",
        **unsupported: Any,
    ) -> None:
        refuse_outside("beta_2", beta_2, 0, 1)
        super().__init__(learning_rate, beta_1, beta_0, weight_decay, name, **unsupported)
        self.beta_2, self.epsilon, self.amsgrad = beta_2, epsilon, amsgrad

    def keeps(self) -> Mapping[str, float]:
        """See `UpdateRule`."""
        found = {**super().keeps(), "velocity": 0.0}
        return found | {"largest_velocity": 0.0} if self.amsgrad else found

    def moved(self, now: Now) -> Moved:
        """See `UpdateRule`."""
        kept, combined = self.combined(now)
        kept["velocity"] = squares = mean_squares(now, "velocity", self.beta_2)
        if self.amsgrad:
            squares = [tf.maximum(a, b) for a, b in zip(now.kept["largest_velocity"], squares, strict=True)]
            kept["largest_velocity"] = squares
        direction = adam_direction(now, combined, squares, self.beta_1, self.beta_2, self.epsilon)
        return Moved(now.change(direction), kept)
