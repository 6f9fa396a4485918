"""Norms of the gradient and the weights, variable by variable."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective


class LayerNorms(NamedTuple):
    """Norms of one variable.

    Attributes:
        gradient: `|g_l|_2`, of the update batch's gradient.
        weights: `|w_l|_2`.
    """

    gradient: float
    weights: float

    @property
    def ratio(self) -> float:
        """`|g_l| / |w_l|`; nan of weights that are all zero."""
        return self.gradient / self.weights if self.weights else float("nan")


def layer_norms(
    objective: Objective,
    theta: Sequence[tf.Tensor] | None = None,
    *,
    gradient: Sequence[tf.Tensor] | None = None,
) -> dict[str, LayerNorms]:
    """Norms of the gradient and the weights by the variables' paths, in their order.

    A path that several variables have gets ` (2)`, ` (3)` from the second on. It costs one gradient evaluation per
    sample where the gradient is not given, else none.

    Args:
        objective: Of the update batch.
        theta: Tree, one array or tensor per trainable variable; None for the present weights.
        gradient: Tree, `objective.value_and_gradient(theta).gradient`, where it is there already.

    Raises:
        UserError: theta does not fit.
    """
    at = objective.theta() if theta is None else theta
    g = objective.value_and_gradient(at).gradient if gradient is None else gradient
    seen: Counter[str] = Counter()
    found: dict[str, LayerNorms] = {}
    for variable, of_gradient, of_weights in zip(objective.variables, g, at, strict=True):
        seen[variable.path] += 1
        again = seen[variable.path]
        name = variable.path if again == 1 else f"{variable.path} ({again})"
        found[name] = LayerNorms(_norm(of_gradient), _norm(of_weights))
    return found


def _norm(leaf: tf.Tensor) -> float:
    leaf = tf.convert_to_tensor(leaf)
    return float(trees.global_norm([leaf if leaf.dtype == tf.float64 else tf.cast(leaf, tf.float32)]))
