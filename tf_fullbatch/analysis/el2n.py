"""EL2N: how far the probabilities that a network gives a sample's classes are from its label."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.by_samples import SampleKernel, of_each_sample
from tf_fullbatch.core.micro_batch import MicroBatch, StepScalars, as_full_precision
from tf_fullbatch.core.objective import FORWARD_EVALUATIONS, Objective
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError


def el2n_scores(objective: Objective, theta: Sequence[tf.Tensor] | None = None) -> np.ndarray:
    """`|p_i - y_i|_2` of each sample, `[samples]` in the order of the sample ids; between 0 and sqrt(2).

    `p_i` are the probabilities of the classes: `softmax(outputs)`, or the outputs as they are where those of every
    sample are probabilities already (none negative, their sum 1). `y_i` is one-hot. Sample weights do not count. The
    published score is the mean over ten networks at epoch 10 to 20; this is of one. It costs a third of a gradient
    evaluation per sample, in micro-batches of one.

    Args:
        objective: With micro-batches of one sample, of the network in inference:
            `model.objective(x, y, statistics="frozen", micro_batch_size=1)`.
        theta: Tree, one array or tensor per trainable variable; None for the present weights.

    Raises:
        UserError: The network has no outputs `[batch, classes]` with targets of classes; the objective is another one,
            or theta does not fit.

    Source: Paul, Ganguli and Dziugaite 2021 (arXiv 2107.07075), section 2.
    """
    of_logits, of_probabilities, probable = of_each_sample(
        objective, _El2nKernel, theta, evaluations=FORWARD_EVALUATIONS
    ).T
    return of_probabilities if np.all(probable) else of_logits


class _El2nKernel(SampleKernel):
    """The score of outputs taken for logits, the one of outputs taken for probabilities, and whether they may be."""

    count: ClassVar[int] = 3

    def figures(
        self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars
    ) -> Sequence[tf.Tensor]:
        """See `SampleKernel.figures`."""
        called = self.loss.called(theta, state, batch, scalars, derivatives=0)
        outputs = as_full_precision(called.outputs)
        label = _labels(batch.targets, outputs)
        total = tf.reduce_sum(outputs, axis=-1)
        probable = tf.reduce_all(outputs >= 0) & tf.reduce_all(tf.abs(total - 1) < 1e-3)
        logits, probabilities = tf.norm(tf.nn.softmax(outputs) - label), tf.norm(outputs - label)
        return [logits, probabilities, tf.cast(probable, outputs.dtype)]


def _labels(targets: Any, outputs: Any) -> tf.Tensor:
    """The targets as probabilities of the classes, `[batch, classes]`.

    Raises:
        UserError: They are none.
    """
    if not (tf.is_tensor(targets) and tf.is_tensor(outputs)):
        raise UserError(f"{_TAKES}; this network has several outputs, or several targets.")
    if targets.dtype.is_integer and targets.shape.rank == 2 and targets.shape[1] == 1:
        targets = tf.squeeze(targets, -1)
    of_classes = outputs.shape.rank == 2 and outputs.shape[1] > 1
    if of_classes and targets.dtype.is_integer and targets.shape.rank == 1:
        return tf.one_hot(targets, outputs.shape[1], dtype=outputs.dtype)
    if of_classes and targets.shape.is_compatible_with(outputs.shape):
        return tf.cast(targets, outputs.dtype)
    raise UserError(f"{_TAKES}; these are outputs {outputs.shape} and targets {targets.shape}.")


_TAKES = "EL2N takes outputs [batch, classes], two classes at least, and targets of class numbers or one-hot"
