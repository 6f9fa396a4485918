"""Keras optimizers as methods of descent."""

from collections.abc import Sequence
from typing import ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.analysis.stability import Stability
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.descent import Accepted, At
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.optim.rules.update_rule import UpdateRule
from tf_fullbatch.optim.stability import stability_of

_MEANS_OF_GRADIENTS = tuple(getattr(keras.optimizers, name) for name in ("Adam", "Nadam", "Lion", "Lamb"))
"""Optimizers of Keras' that keep a running mean of gradients; AdamW is an Adam."""


class OptimizerState:
    """What a method keeps where that is a Keras optimizer's.

    Args:
        optimizer: A built optimizer.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer):
        self._optimizer = optimizer

    @property
    def variables(self) -> Sequence[keras.Variable]:
        """The optimizer's variables."""
        return self._optimizer.variables

    @property
    def point(self) -> Tree | None:
        """None: the gradient is taken at the weights."""
        return None

    @property
    def learning_rate(self) -> tf.Tensor:
        """The optimizer's rate at its present iteration."""
        return tf.convert_to_tensor(self._optimizer.learning_rate)

    @property
    def steps_completed(self) -> tf.Tensor:
        """The optimizer's iterations, int64."""
        return tf.cast(tf.convert_to_tensor(self._optimizer.iterations.value), tf.int64)


class KerasDescent(OptimizerState):
    """A Keras optimizer as a `descent.Descent`.

    Args:
        optimizer: A built optimizer.
        trainable: The variables that it was built for.
        factors: On the learning rate of each of them; None for ones. An update is proportional to the rate, so each
            variable's change is multiplied.
    """

    asks_objective: ClassVar[bool] = False

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        trainable: Sequence[keras.Variable],
        factors: Sequence[float] | None = None,
    ):
        super().__init__(optimizer)
        self._trainable = list(trainable)
        self._factors = [1.0] * len(self._trainable) if factors is None else list(factors)
        self._scaled = [(v, f) for v, f in zip(self._trainable, self._factors, strict=True) if f != 1]

    @property
    def momentum(self) -> Tree | None:
        """The optimizer's running mean or sum of gradients, in the weights' order; None where it keeps none."""
        optimizer, sign = self._optimizer, 1.0
        kept: Sequence[keras.Variable] = ()
        if isinstance(optimizer, GradientDescent):
            kept = optimizer.buffers
        elif isinstance(optimizer, keras.optimizers.SGD) and optimizer.momentum:
            kept, sign = optimizer.momentums, -1.0  # its buffer is a change of the weights
        elif isinstance(optimizer, UpdateRule):
            kept = optimizer.kept.get(optimizer.mean_of_gradients or "", ())
        elif isinstance(optimizer, _MEANS_OF_GRADIENTS):
            kept = optimizer._momentums
        return [sign * tf.convert_to_tensor(v.value) for v in kept] or None

    def stability(self, learning_rate: float, clip_factor: float) -> Stability | None:
        """The largest curvature that the optimizer bears, as `optim.stability.stability_of` derives it."""
        return stability_of(self._optimizer, learning_rate, self._trainable, clip_factor, self._factors)

    def step(self, at: At, objective: Objective | None) -> Accepted:
        """`optimizer.apply_gradients`, outside of any replica: there it would all-reduce the gradient once more."""
        del objective
        before = [tf.identity(variable.value) for variable, _ in self._scaled]
        self._optimizer.apply_gradients(zip(at.gradient, self._trainable, strict=True))
        for (variable, factor), old in zip(self._scaled, before, strict=True):
            variable.assign(
                old + tf.constant(factor, old.dtype) * (tf.convert_to_tensor(variable.value) - old)
            )
        return Accepted(tf.zeros([]))
