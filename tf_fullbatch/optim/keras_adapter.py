"""Keras optimizers as methods of descent."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_fullbatch.core.objective import Objective
from tf_fullbatch.optim.descent import Accepted, At


class KerasDescent:
    """A Keras optimizer as a `descent.Descent`.

    Args:
        optimizer: A built optimizer.
        trainable: The variables that it was built for.
        factors: On the learning rate of each of them; None for ones. An update is proportional to the rate, so each
            variable's change is multiplied.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        trainable: Sequence[keras.Variable],
        factors: Sequence[float] | None = None,
    ):
        self._optimizer = optimizer
        self._trainable = list(trainable)
        given = [1.0] * len(self._trainable) if factors is None else factors
        self._scaled = [(v, f) for v, f in zip(self._trainable, given, strict=True) if f != 1]

    @property
    def variables(self) -> Sequence[keras.Variable]:
        """The optimizer's variables."""
        return self._optimizer.variables

    @property
    def learning_rate(self) -> tf.Tensor:
        """The optimizer's rate at its present iteration."""
        return tf.convert_to_tensor(self._optimizer.learning_rate)

    @property
    def steps_completed(self) -> tf.Tensor:
        """The optimizer's iterations, int64."""
        return tf.cast(tf.convert_to_tensor(self._optimizer.iterations.value), tf.int64)

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
