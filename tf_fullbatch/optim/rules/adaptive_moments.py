"""Adam's direction, which several methods take: means of the gradient and of its square, corrected for their start."""

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.rules.update_rule import Now


def mean_squares(now: Now, name: str, beta: float) -> Tree:
    """`beta v + (1 - beta) g^2`, v kept under the name."""
    return [
        trees.scalar(beta, g.dtype) * v + trees.scalar(1 - beta, g.dtype) * g * g
        for v, g in zip(now.kept[name], now.gradient, strict=True)
    ]


def adam_direction(now: Now, mean: Tree, squares: Tree, beta_1: float, beta_2: float, epsilon: float) -> Tree:
    """`m_hat / (sqrt(v_hat) + epsilon)`, with `m_hat = m / (1 - beta_1^t)` and `v_hat = v / (1 - beta_2^t)`.

    Source: Kingma and Ba 2015 (arXiv 1412.6980), algorithm 1.
    """
    first, second = 1 - now.power(beta_1), 1 - now.power(beta_2)
    return [
        (m / tf.cast(first, m.dtype))
        / (tf.sqrt(v / tf.cast(second, v.dtype)) + trees.scalar(epsilon, v.dtype))
        for m, v in zip(mean, squares, strict=True)
    ]
