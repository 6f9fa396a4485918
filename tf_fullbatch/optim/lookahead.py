"""Lookahead: a second set of weights that goes part of the way of every k steps."""

from collections.abc import Sequence
from typing import ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.analysis.stability import Stability
from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.descent import Accepted, At, Descent
from tf_fullbatch.optim.keras_adapter import OptimizerState

_SLOW = "lookahead_slow"


def slow_weights(
    optimizer: keras.optimizers.Optimizer, trainable: Sequence[keras.Variable]
) -> list[keras.Variable]:
    """The slow weights, kept among an optimizer's variables, so that they are saved wherever it is; made where there
    are none yet.

    Args:
        optimizer: Built.
        trainable: The variables that it was built for.
    """
    found = [v for v in optimizer.variables if v.name.endswith(f"_{_SLOW}")]
    return found or [optimizer.add_variable_from_reference(v, name=_SLOW) for v in trainable]


class LookaheadDescent(OptimizerState):
    """A Keras optimizer whose every k steps are followed in part, as a `descent.Descent`.

    With fast weights theta, which the optimizer moves, and slow ones phi, equal to them at first:

        after every k steps:    phi <- phi + factor * (theta - phi),    theta <- phi

    Momentum and the like stay as the optimizer has them. Gradients, and all that is recorded, are those of theta.

    Args:
        optimizer: Built.
        trainable: The variables that it was built for.
        inner: Makes its steps.
        steps: k, at least 1.
        factor: In (0, 1]; published: 0.5 (with k = 5) or 0.8.

    Source: Zhang et al. 2019, "Lookahead optimizer: k steps forward, 1 step back" (arXiv 1907.08610), algorithm 1.
    """

    asks_objective: ClassVar[bool] = False

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        trainable: Sequence[keras.Variable],
        inner: Descent,
        steps: int,
        factor: float,
    ):
        super().__init__(optimizer)
        self._inner, self._trainable = inner, list(trainable)
        self._slow = slow_weights(optimizer, trainable)
        self._steps, self._factor = steps, factor

    @property
    def momentum(self) -> Tree | None:
        """The optimizer's."""
        return self._inner.momentum

    def stability(self, learning_rate: float, clip_factor: float) -> Stability | None:
        """None: no threshold is known."""
        del learning_rate, clip_factor
        return None

    def step(self, at: At, objective: Objective | None) -> Accepted:
        """See `Descent.step`."""
        begins = self._is_multiple(self.steps_completed)
        # Where k steps begin the slow weights are the fast ones, also if these were changed or loaded meanwhile.
        for slow, fast in zip(self._slow, self._trainable, strict=True):
            slow.assign(tf.where(begins, tf.convert_to_tensor(fast.value), tf.convert_to_tensor(slow.value)))
        made = self._inner.step(at, objective)
        ends = self._is_multiple(self.steps_completed)
        for slow, fast in zip(self._slow, self._trainable, strict=True):
            far, near = tf.convert_to_tensor(fast.value), tf.convert_to_tensor(slow.value)
            fast.assign(tf.where(ends, near + trees.scalar(self._factor, far.dtype) * (far - near), far))
        return made

    def _is_multiple(self, steps: tf.Tensor) -> tf.Tensor:
        return tf.equal(steps % self._steps, 0)
