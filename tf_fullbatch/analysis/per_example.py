"""Norms of the gradients of single samples."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.by_samples import SampleKernel, of_each_sample
from tf_fullbatch.core import penalties, trees
from tf_fullbatch.core.micro_batch import MicroBatch, StepScalars
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.trees import Tree


def per_example_norms(objective: Objective, theta: Sequence[tf.Tensor] | None = None) -> np.ndarray:
    """`|g_i|`, the norm of each sample's gradient, `[samples]` in the order of the sample ids.

    `g_i` is the gradient of what the sample adds to the set's loss, times N: sample weights are part of it (unless the
    loss divides by their sum), and so are the losses that layers add (regularizers). The mean of `g_i` is the gradient
    of the set. It costs one gradient evaluation per sample, in micro-batches of one, which no device likes.

    Args:
        objective: With micro-batches of one sample, of the network in inference:
            `model.objective(x, y, statistics="frozen", micro_batch_size=1)`.
        theta: Tree, one array or tensor per trainable variable; None for the present weights.

    Raises:
        UserError: The objective is another one, or theta does not fit.
    """
    return of_each_sample(objective, _NormKernel, theta, evaluations=1)[:, 0]


class _NormKernel(SampleKernel):
    """The norm of a sample's gradient."""

    def figures(
        self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars
    ) -> Sequence[tf.Tensor]:
        """See `SampleKernel.figures`."""
        point = penalties.value_and_gradient(lambda at: self.loss.value(at, state, batch, scalars), theta)
        return [trees.global_norm(point.gradient)]
