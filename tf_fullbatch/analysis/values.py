"""Loss and accuracy of an objective at some weights, by one forward pass."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tf_fullbatch.core.micro_batch import MicroBatch, MicroBatchLoss, StepScalars
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.passes import Contribution
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.core.weighted_means import samples_of


class Value(NamedTuple):
    """What an objective is worth at some weights.

    Attributes:
        loss: The mean loss, as `Objective.loss`.
        accuracy: The share of samples classified correctly; nan where that has no meaning.
    """

    loss: float
    accuracy: float


class LossAndAccuracy:
    """The loss of a micro-batch, its accuracy, and whether that has a meaning."""

    def __init__(self, loss: MicroBatchLoss):
        self._loss = loss

    def like(self) -> tuple[tf.TensorSpec, tuple[tf.TensorSpec, tf.TensorSpec], tuple]:
        """See `passes.Kernel`: the loss; (the accuracy, 1 where it has a meaning, else 0)."""
        return tf.TensorSpec([]), (tf.TensorSpec([]), tf.TensorSpec([])), ()

    def __call__(self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars) -> Contribution:
        """See `passes.Kernel`."""
        batch = self._loss.prepared(batch, scalars)
        _, evaluated = self._loss.value(theta, state, batch, scalars, derivatives=0)
        accuracy = self._loss.training_loss.accuracy(batch.targets, evaluated.outputs, batch.mixed)
        meant = tf.constant(float(self._loss.training_loss.has_accuracy))
        samples = samples_of(batch.sample_ids)
        return Contribution(evaluated.loss, (accuracy, meant), (), evaluated.of_outputs.weight, samples)


def value(objective: Objective, theta: Sequence[tf.Tensor] | None = None) -> Value:
    """Loss and accuracy; as many evaluations as `Objective.loss`.

    Args:
        objective: Of the samples that count.
        theta: Tree, one array or tensor per trainable variable; None for the present weights.

    Raises:
        UserError: theta does not fit the variables, or the network assigns weights when it is called.
    """
    means = objective.measure(LossAndAccuracy, theta)
    accuracy, meant = (float(x) for x in means.sampled)
    return Value(float(means.weighted), accuracy if meant else math.nan)
