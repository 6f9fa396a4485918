"""What the gradients of micro-batches differ by from a given one, within a pass."""

import tensorflow as tf

from tf_fullbatch.core import penalties, trees
from tf_fullbatch.core.micro_batch import MicroBatch, MicroBatchLoss, StepScalars
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.core.weighted_means import samples_of


class DifferenceKernel:
    """Base of kernels that look at `g_b - g`, see `passes.Kernel`.

    Args:
        loss: The micro-batch's loss.
    """

    def __init__(self, loss: MicroBatchLoss):
        self._loss = loss

    def difference(
        self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, gradient: Tree
    ) -> tuple[Tree, tf.Tensor, tf.Tensor]:
        """(`g_b - g`, what the micro-batch counts for, its samples); `gradient` is g."""
        batch = self._loss.prepared(batch, scalars)
        point = penalties.value_and_gradient(lambda at: self._loss.value(at, state, batch, scalars), theta)
        weight = point.auxiliary.of_outputs.weight
        return trees.subtract(point.gradient, gradient), weight, samples_of(batch.sample_ids)
