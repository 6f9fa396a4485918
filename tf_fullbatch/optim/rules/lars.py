"""Layer-wise adaptive rates: LARS and LARC."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.trust_ratios import is_scaled, trust_ratio
from tf_fullbatch.optim.rules.update_rule import Moved, Now, UpdateRule, refuse_outside


class LayerwiseDescent(UpdateRule):
    """What LARS and LARC have in common: momentum, and the ratio of each matrix's and kernel's norms.

        ratio = trust_coefficient |w| / (|g| + weight_decay |w| + 1e-8)    (1 where |w| or |g| is 0)

    Variables of less than two axes are not scaled.
    """

    arguments: ClassVar[tuple[str, ...]] = ("momentum", "trust_coefficient")
    mean_of_gradients: ClassVar[str | None] = "momentum"

    def __init__(
        self,
        learning_rate: Any,
        momentum: float,
        weight_decay: float,
        trust_coefficient: float,
        name: str,
        **unsupported: Any,
    ) -> None:
        refuse_outside("momentum", momentum, 0, 1)
        if not trust_coefficient > 0:
            raise UserError(f"trust_coefficient={trust_coefficient}: it has to be positive.")
        super().__init__(learning_rate, weight_decay, name, **unsupported)
        self.momentum = momentum
        self.trust_coefficient = trust_coefficient

    def keeps(self) -> Mapping[str, float]:
        """See `UpdateRule`."""
        return {"momentum": 0.0}

    def ratios(self, now: Now) -> Tree:
        """The ratio of each variable, a scalar."""
        found = []
        for p, g, decay in zip(now.theta, now.gradient, now.decay, strict=True):
            added = trees.scalar(decay, p.dtype) * tf.norm(p) + trees.scalar(1e-8, p.dtype)
            ratio = trust_ratio(p, g, self.trust_coefficient, added)
            found.append(ratio if is_scaled(p) else tf.ones([], p.dtype))
        return found


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class LARS(LayerwiseDescent):
    """Layer-wise adaptive rate scaling; the rate is within the momentum.

        v = momentum * v + lr * ratio * (g + weight_decay * p)
        p = p - v

    Args:
        learning_rate: The rate of all layers; see `UpdateRule`.
        momentum: In [0, 1).
        weight_decay: Of the coupled decay.
        trust_coefficient: Factor of the ratio (`LayerwiseDescent`).
        name: Name of the optimizer.
        **unsupported: See `UpdateRule`.

    Source: You et al. 2017 (arXiv 1708.03888), algorithm 1.
    """

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        name: str = "lars",
        **unsupported: Any,
    ) -> None:
        super().__init__(learning_rate, momentum, weight_decay, trust_coefficient, name, **unsupported)

    def moved(self, now: Now) -> Moved:
        """See `UpdateRule`."""
        buffer = []
        for v, d, ratio in zip(now.kept["momentum"], now.decayed(), self.ratios(now), strict=True):
            buffer.append(trees.scalar(self.momentum, v.dtype) * v + tf.cast(now.rate, v.dtype) * ratio * d)
        return Moved([-v for v in buffer], {"momentum": buffer})


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class LARC(LayerwiseDescent):
    """Layer-wise adaptive rate control: LARS whose layers never go faster than the rate, which is outside the momentum.

        v = momentum * v + min(ratio / lr, 1) * (g + weight_decay * p)
        p = p - lr * v

    Args:
        learning_rate: The largest rate of a layer; see `UpdateRule`.
        momentum: In [0, 1).
        weight_decay: Of the coupled decay.
        trust_coefficient: Factor of the ratio (`LayerwiseDescent`).
        name: Name of the optimizer.
        **unsupported: See `UpdateRule`.

    Source: NVIDIA's apex (github.com/NVIDIA/apex, apex/parallel/LARC.py), which has no paper.
    """

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.02,
        name: str = "larc",
        **unsupported: Any,
    ) -> None:
        super().__init__(learning_rate, momentum, weight_decay, trust_coefficient, name, **unsupported)

    def moved(self, now: Now) -> Moved:
        """See `UpdateRule`."""
        buffer = []
        for p, v, d, ratio in zip(
            now.theta, now.kept["momentum"], now.decayed(), self.ratios(now), strict=True
        ):
            if is_scaled(p):
                rate = tf.cast(now.rate, p.dtype)
                # `ratio / lr >= 1` without a division by a rate of 0.
                d = tf.where(ratio < rate, tf.math.divide_no_nan(ratio, rate), tf.ones_like(ratio)) * d
            buffer.append(trees.scalar(self.momentum, v.dtype) * v + d)
        return Moved([-tf.cast(now.rate, v.dtype) * v for v in buffer], {"momentum": buffer})
