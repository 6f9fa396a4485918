"""Moments of descents whose updates and momenta are given, on quadratics: linear networks with squared errors."""

from typing import cast

import keras
import numpy as np
import tensorflow as tf

from tests.core.objectives import INPUTS, SAMPLES
from tests.core.problems import Problem, flat, mean_squares, objective
from tests.networks import CLASSES, FEATURES
from tf_fullbatch.analysis.measures.base import Measure, Moment
from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Point

TARGETS = np.random.default_rng(5).normal(size=(SAMPLES, CLASSES))


class DescentMoment:
    """A moment of a linear network, 18 weights and 3 biases, in micro-batches of 8 out of 23 samples.

    Args:
        seed: Of the weights.
        learning_rate: Of the next step.
        update: What it would add, `[21]`; None for gradient descent's.
        momentum: `[21]`, or None.
    """

    def __init__(
        self,
        seed: int = 0,
        learning_rate: float = 0.1,
        update: np.ndarray | None = None,
        momentum: np.ndarray | None = None,
    ):
        network = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(CLASSES)])
        self.problem = Problem(network, mean_squares)
        self.move(seed)
        self.objective = objective(self.problem, INPUTS, TARGETS, micro_batch_size=8)
        self.learning_rate = learning_rate
        self.given_update = update
        self._momentum = momentum

    def move(self, seed: int) -> None:
        """To other weights, without another objective, which would be traced anew."""
        generator = np.random.default_rng(seed)
        for variable in self.problem.network.trainable_variables:
            variable.assign(generator.normal(size=variable.shape))

    @property
    def gradient(self) -> np.ndarray:
        """`[21]`, by hand: of `mean_n,c (W^T x + b - y)^2`."""
        kernel, bias = (v.numpy() for v in self.problem.network.trainable_variables)
        error = 2 * (INPUTS @ kernel + bias - TARGETS) / TARGETS.size
        return np.concatenate([np.ravel(INPUTS.T @ error), error.sum(0)])

    def curvature(self, direction: np.ndarray) -> float:
        """`d^T H d`, by hand, `[21]`."""
        kernel, bias = np.split(direction, [FEATURES * CLASSES])
        return float(2 * np.mean((INPUTS @ kernel.reshape(FEATURES, CLASSES) + bias) ** 2))

    def point(self) -> Point:
        return self.objective.value_and_gradient()

    def update(self) -> trees.Tree:
        downhill = -self.learning_rate * self.gradient
        return self._tree(downhill if self.given_update is None else self.given_update)

    def momentum(self) -> trees.Tree | None:
        return None if self._momentum is None else self._tree(self._momentum)

    def _tree(self, vector: np.ndarray) -> trees.Tree:
        return trees.unflatten(tf.constant(vector), self.problem.theta)


def measured(measure: Measure, moment: DescentMoment) -> dict[str, float]:
    """Quantity -> value; weights stay as they are."""
    before = flat(moment.problem.theta)
    figures = measure.figures(cast(Moment, moment))
    np.testing.assert_array_equal(before, flat(moment.problem.theta))
    assert all(figure.of == "" for figure in figures)
    return {figure.quantity: figure.value for figure in figures}
