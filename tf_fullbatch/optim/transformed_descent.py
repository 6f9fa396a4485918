"""A method of descent whose updates are transformed."""

from collections.abc import Sequence
from typing import ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.analysis.stability import Stability
from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.transforms.base import StepStart, Transform, apply_all
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.descent import Accepted, At, Descent


class TransformedDescent:
    """Makes a method's step, and applies what transforms make of its update: new weights minus old.

    Factors on the rates of single variables are within the method's update; the rate that transforms see has none.

    Args:
        method: Makes the steps; it does not ask the objective.
        transforms: In the order in which they act.
        trainable: The variables that it moves.

    Raises:
        UserError: Weights have constraints, which the method keeps and transforms would not.
    """

    asks_objective: ClassVar[bool] = False

    def __init__(self, method: Descent, transforms: Sequence[Transform], trainable: Sequence[keras.Variable]):
        constrained = [v.path for v in trainable if v.constraint is not None]
        if constrained:
            raise UserError(
                f"--update_transforms with weights that have constraints ({', '.join(constrained[:3])}): they act "
                "after these, which would not hold. Leave one of them out."
            )
        self._method, self._transforms, self._trainable = method, list(transforms), list(trainable)

    @property
    def variables(self) -> Sequence[keras.Variable]:
        """See `Descent`; transforms keep nothing."""
        return self._method.variables

    @property
    def point(self) -> Tree | None:
        """See `Descent`."""
        return self._method.point

    @property
    def momentum(self) -> Tree | None:
        """See `Descent`."""
        return self._method.momentum

    @property
    def learning_rate(self) -> tf.Tensor:
        """See `Descent`."""
        return self._method.learning_rate

    @property
    def steps_completed(self) -> tf.Tensor:
        """See `Descent`."""
        return self._method.steps_completed

    def stability(self, learning_rate: float, clip_factor: float) -> Stability | None:
        """None: of a transformed update no threshold is derived."""
        del learning_rate, clip_factor
        return None

    def step(self, at: At, objective: Objective | None) -> Accepted:
        """See `Descent.step`."""
        start = StepStart(self._weights(), self.steps_completed, tf.identity(self.learning_rate))
        made = self._method.step(at, objective)
        update = trees.subtract(self._weights(), start.weights)
        update, _ = apply_all(self._transforms, update, start)
        for variable, old, change in zip(self._trainable, start.weights, update, strict=True):
            variable.assign(old + change)
        return made

    def _weights(self) -> Tree:
        return [tf.identity(v.value) for v in self._trainable]
