"""Adaptive inertia: Adai and AdaiW."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.rules.adaptive_moments import mean_squares
from tf_fullbatch.optim.rules.update_rule import Moved, Now, UpdateRule, refuse_outside


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class Adai(UpdateRule):
    """Momentum whose factor each weight has for itself: smaller where its gradients are large.

        g      = g + weight_decay * p                        (Adai; AdaiW takes lr * weight_decay * p off p instead)
        v      = beta_2 v + (1 - beta_2) g^2,   v_hat = v / (1 - beta_2^t)
        beta_1 = clip(1 - (beta_0 / v_bar) * v_hat, 0, 1 - epsilon),   v_bar the mean of v_hat over all weights
        m      = beta_1 m + (1 - beta_1) g,     m_hat = m / (1 - product of all beta_1 so far)
        p      = p - lr * m_hat

    The rate is that of descent without momentum. Without mini-batches there is no noise, so that v_hat / v_bar is the
    gradient's magnitude alone. Where all gradients have been 0 so far, nothing moves.

    Args:
        learning_rate: See `UpdateRule`.
        beta_0: What the mean inertia falls short of 1 by.
        beta_2: Of the mean of squares, in [0, 1).
        epsilon: Least that an inertia falls short of 1 by.
        weight_decay: Of the decay.
        decoupled: AdaiW: the decay is decoupled.
        name: Name of the optimizer.
        **unsupported: See `UpdateRule`.

    Source: Xie et al. 2022 (arXiv 2006.15815), algorithms 2 (Adai) and 3 (AdaiW).
    """

    arguments: ClassVar[tuple[str, ...]] = ("beta_0", "beta_2", "epsilon", "decoupled")
    mean_of_gradients: ClassVar[str | None] = "momentum"

    def __init__(
        self,
        learning_rate: Any,
        beta_0: float = 0.1,
        beta_2: float = 0.99,
        epsilon: float = 1e-3,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        name: str = "adai",
        **unsupported: Any,
    ) -> None:
        refuse_outside("beta_0", beta_0, 0, 1)
        refuse_outside("beta_2", beta_2, 0, 1)
        refuse_outside("epsilon", epsilon, 0, 1)
        super().__init__(learning_rate, weight_decay, name, **unsupported)
        self.beta_0, self.beta_2, self.epsilon, self.decoupled = beta_0, beta_2, epsilon, decoupled

    def keeps(self) -> Mapping[str, float]:
        """See `UpdateRule`."""
        return {"momentum": 0.0, "velocity": 0.0, "inertias": 1.0}

    def moved(self, now: Now) -> Moved:
        """See `UpdateRule`."""
        if not self.decoupled:
            now = now._replace(gradient=now.decayed(), decay=[0.0] * len(now.theta))
        squares = mean_squares(now, "velocity", self.beta_2)
        means, products, direction = [], [], []
        for g, m, product, beta in zip(
            now.gradient, now.kept["momentum"], now.kept["inertias"], self.inertias(squares), strict=True
        ):
            means.append(beta * m + (1 - beta) * g)
            products.append(product * beta)
            direction.append(means[-1] / (1 - products[-1]))
        return Moved(now.change(direction), {"momentum": means, "velocity": squares, "inertias": products})

    def inertias(self, squares: Tree) -> Tree:
        """beta_1 of each weight.

        Args:
            squares: v of all variables.
        """
        dtype = trees.widest(squares)
        count = sum(tf.size(v, out_type=tf.int64) for v in squares)
        total = tf.add_n([tf.cast(tf.reduce_sum(v), dtype) for v in squares])
        mean_square = total / tf.cast(count, dtype)  # the correction for the start cancels in the ratio
        found = []
        for v in squares:
            share = tf.math.divide_no_nan(v, tf.cast(mean_square, v.dtype))
            most = 1 - trees.scalar(self.epsilon, v.dtype)
            found.append(tf.clip_by_value(1 - trees.scalar(self.beta_0, v.dtype) * share, 0, most))
        return found
