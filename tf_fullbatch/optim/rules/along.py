"""The function that a searching method goes down, along directions from a point."""

from collections.abc import Callable

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.passes import PassMeans
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.directions.base import dot
from tf_fullbatch.optim.searches.line import Line


class Along:
    """The function that is gone down, along directions from a point."""

    def __init__(
        self,
        objective: Objective,
        theta: Tree,
        decay_value: Callable[[Tree], float],
        with_decay: Callable[[Tree, Tree], Tree],
    ):
        self._objective, self._theta = objective, theta
        self._decay_value, self._with_decay = decay_value, with_decay
        self._last: tuple[float, PassMeans] | None = None

    def means_at(self, length: float) -> PassMeans | None:
        """What the last pass for a gradient measured, where that was at this length of the last line."""
        return self._last[1] if self._last is not None and self._last[0] == length else None

    def tree(self, direction: tf.Tensor, length: float) -> Tree:
        """The weights at a length."""
        cut = trees.unflatten(direction, self._theta)
        moved = [tf.cast(leaf, p.dtype) for leaf, p in zip(cut, self._theta, strict=True)]
        return trees.add_scaled(self._theta, length, moved)

    def value(self, theta: Tree) -> float:
        """The function's value, by a forward pass alone where there is no penalty."""
        if self._objective.penalty is None:
            return float(self._objective.loss(theta)) + self._decay_value(theta)
        return self._value_and_gradient(theta)[0]

    def line(self, direction: tf.Tensor) -> Line:
        """The function along a direction."""
        self._last = None

        def value(length: float) -> float:
            return self.value(self.tree(direction, length))

        def value_and_slope(length: float) -> tuple[float, float]:
            theta = self.tree(direction, length)
            if self._objective.penalty is None:
                means = self._objective.gradient_pass(theta)
                self._last = (length, means)
                found = float(means.weighted.loss) + self._decay_value(theta)
                like = [tf.cast(g, p.dtype) for g, p in zip(means.weighted.gradient, theta, strict=True)]
                gradient = self._with_decay(like, theta)
            else:
                found, gradient = self._value_and_gradient(theta)
            return found, float(dot(trees.flatten(gradient), direction))

        return Line(value, value_and_slope)

    def _value_and_gradient(self, theta: Tree) -> tuple[float, Tree]:
        point = self._objective.value_and_gradient(theta, self._objective.penalty)
        value = float(point.loss) + float(point.penalty) + self._decay_value(theta)
        return value, self._with_decay(point.gradient, theta)
