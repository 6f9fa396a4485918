"""The function that a searching method goes down, along directions from a point."""

from collections.abc import Callable

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective, Point
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
        self._last: tuple[float, PassMeans | None] | None = None

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
        return self._at(theta)[1]

    def line(self, direction: tf.Tensor) -> Line:
        """The function along a direction."""
        self._last = None

        def value(length: float) -> float:
            return self.value(self.tree(direction, length))

        def value_and_slope(length: float) -> tuple[float, float]:
            theta = self.tree(direction, length)
            point, value = self._at(theta)
            self._last = (length, point.means)
            return value, float(dot(trees.flatten(self._with_decay(point.gradient, theta)), direction))

        return Line(value, value_and_slope)

    def _at(self, theta: Tree) -> tuple[Point, float]:
        """(what the objective says there, the function's value)."""
        point = self._objective.value_and_gradient(theta, self._objective.penalty)
        return point, float(point.loss) + float(point.penalty) + self._decay_value(theta)
