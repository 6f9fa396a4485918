"""The function that a searching method goes down, along directions from a point."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tf_fullbatch.core import keras_internals, trees
from tf_fullbatch.core.objective import Objective, Point
from tf_fullbatch.core.passes import PassMeans
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.directions.base import dot
from tf_fullbatch.optim.searches.line import Line


class Decay:
    """Coupled weight decay, `sum_v d_v / 2 |theta_v|^2`, and the arithmetic of steps on a loss with it, compiled.

    Args:
        coefficients: d, of each variable.
    """

    def __init__(self, coefficients: Sequence[float]):
        self._coefficients = list(coefficients)
        self.moved = keras_internals.compiled(self._moved)
        self.value = keras_internals.compiled(self.value_in_graph)
        self.value_and_slope = keras_internals.compiled(self._value_and_slope)

    def value_in_graph(self, theta: Tree) -> tf.Tensor:
        """Its value, a float64 scalar; `value` is this, compiled.

        The parts are stacked: TensorFlow puts other sums in an order that hangs on the rest of the graph.
        """
        halves = tf.constant([d / 2 for d in self._coefficients], tf.float64)
        squares = [tf.cast(tf.reduce_sum(p * p), tf.float64) for p in theta]
        return tf.reduce_sum(halves * tf.stack(squares))

    def added(self, gradient: Tree, theta: Tree) -> Tree:
        """A gradient and the decay's; of a product with the loss's Hessian, the decay's product."""
        return [
            g + trees.scalar(d, g.dtype) * p if d else g
            for g, d, p in zip(gradient, self._coefficients, theta, strict=True)
        ]

    def _moved(self, theta: Tree, direction: tf.Tensor, length: tf.Tensor) -> tuple[Tree, tf.Tensor]:
        """(`theta + length direction`, its value there)."""
        there = trees.add_scaled(theta, length, trees.leaves_like(direction, theta))
        return there, self.value_in_graph(there)

    def _value_and_slope(
        self, point: Point, theta: Tree, decay: tf.Tensor, direction: tf.Tensor
    ) -> tf.Tensor:
        """float64 `[2]`: the loss with penalty and decay, and its derivative along a direction."""
        slope = dot(trees.flatten(self.added(point.gradient, theta)), direction)
        objective = tf.cast(point.loss, point.penalty.dtype) + point.penalty
        return tf.stack([tf.cast(objective, tf.float64) + decay, tf.cast(slope, tf.float64)])


class There(NamedTuple):
    """A place of a line.

    Attributes:
        length: How far from the line's beginning.
        theta: Tree, the weights.
        decay: float64 scalar, the decay's value.
    """

    length: float
    theta: Tree
    decay: tf.Tensor


class Along:
    """The loss with its exact penalty and decay, along directions from a point.

    Args:
        objective: The step's.
        theta: Tree, the point.
        decay: The decay.
    """

    def __init__(self, objective: Objective, theta: Tree, decay: Decay):
        self._objective, self._theta, self._decay = objective, theta, decay
        self._direction: tf.Tensor | None = None
        self._there: There | None = None
        self._means: PassMeans | None = None

    def tree(self, direction: tf.Tensor, length: float) -> Tree:
        """The weights at a length."""
        return self._at(direction, length).theta

    def means_at(self, direction: tf.Tensor, length: float) -> PassMeans | None:
        """What the last pass for a gradient measured, where that was at this length of this direction."""
        known = self._there is not None and self._there.length == length and self._direction is direction
        return self._means if known else None

    def value(self, theta: Tree) -> float:
        """The function's value, by a forward pass alone where there is no penalty."""
        return self._value(theta, self._decay.value(theta))

    def line(self, direction: tf.Tensor) -> Line:
        """The function along a direction."""

        def value(length: float) -> float:
            there = self._at(direction, length)
            return self._value(there.theta, there.decay)

        def value_and_slope(length: float) -> tuple[float, float]:
            _, theta, decay = self._at(direction, length)
            point = self._objective.value_and_gradient(theta, self._objective.penalty)
            self._means = point.means
            numbers = self._decay.value_and_slope(point._replace(means=None), theta, decay, direction)
            found, slope = numbers.numpy().tolist()
            return found, slope

        return Line(value, value_and_slope)

    def _at(self, direction: tf.Tensor, length: float) -> There:
        """A place; the last one is remembered."""
        if self._there is None or self._there.length != length or self._direction is not direction:
            moved = self._decay.moved(self._theta, direction, tf.constant(length, tf.float64))
            self._there, self._direction, self._means = There(length, *moved), direction, None
        return self._there

    def _value(self, theta: Tree, decay: tf.Tensor) -> float:
        penalty = self._objective.penalty
        if penalty is None:
            return float(self._objective.loss(theta)) + float(decay)
        point = self._objective.value_and_gradient(theta, penalty)
        return float(point.loss) + float(point.penalty) + float(decay)
