"""The step that would come next, made and taken back."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.core import keras_internals, trees
from tf_fullbatch.core.kernels import GradientMeans
from tf_fullbatch.core.micro_batch import StepScalars
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.passes import Source
from tf_fullbatch.core.penalties import penalty_value
from tf_fullbatch.core.transforms.base import StepStart, Transform, apply_all
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.descent import At, Descent
from tf_fullbatch.training.phases import OnePass


class Trial(NamedTuple):
    """A step that was tried.

    Attributes:
        update: Tree, what it would add to the weights.
        clip_factor: What clipping by the norm multiplies the gradient by; 1 where it changes nothing.
        evaluations: Gradient evaluations per sample of its own, those of the pass aside.
    """

    update: Tree
    clip_factor: float
    evaluations: float


class TrialStep:
    """Steps without noise, after which everything is as it was, to the last bit.

    Args:
        passes: Makes what the gradient is made of; of no metrics.
        transforms: Of the gradient, in the order in which they act, without noise.
        descent: Moves the weights.
        trainable: The trainable variables.
    """

    def __init__(
        self,
        passes: Callable[[], OnePass],
        transforms: Sequence[Transform],
        descent: Descent,
        trainable: Sequence[keras.Variable],
    ):
        # Made when first needed: their sums take as much memory as the weights.
        self._passes = functools.cache(passes)
        self._transforms, self._descent, self._trainable = list(transforms), descent, list(trainable)
        in_graph = functools.partial(self._moved_and_back, None)
        self._moved = keras_internals.compiled(in_graph)

    def made(self, source: Source, step: int, scalars: StepScalars, objective: Objective) -> Trial:
        """The step on a step's samples of an epoch, `objective` its own; cross-replica context, from Python."""
        passes = self._passes()
        means = passes.run(source, step, scalars)
        moved = self._moved
        if self._descent.asks_objective:
            moved = functools.partial(self._moved_and_back, objective)
        update, factor, spent = moved(means.weighted, scalars, passes.whole_gradient)
        return Trial(update, float(factor), float(spent))

    def _moved_and_back(
        self, objective: Objective | None, means: GradientMeans, scalars: StepScalars, whole: Tree | None
    ) -> tuple[Tree, tf.Tensor, tf.Tensor | float]:
        weights = [tf.convert_to_tensor(v.value) for v in self._trainable]
        start = StepStart(weights, scalars.step, scalars.learning_rate)
        gradient, figures = apply_all(self._transforms, means.gradient, start)
        factor = figures.get("clip_factor", tf.ones([]))
        penalty = penalty_value(scalars, means.squared_norm, whole)
        descended = tf.cast(means.loss, penalty.dtype) + penalty
        cast = [tf.cast(g, v.dtype) for g, v in zip(gradient, self._trainable, strict=True)]
        at = At(means.loss, descended, cast)
        moving = [*self._trainable, *self._descent.variables]
        before = [tf.identity(v.value) for v in moving]
        made = self._descent.step(at, objective)
        after = [tf.identity(v.value) for v in self._trainable]
        for variable, value in zip(moving, before, strict=True):
            variable.assign(value)
        return trees.subtract(after, before[: len(after)]), factor, made.evaluations
