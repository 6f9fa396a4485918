"""Loss and accuracy over a data set, every sample counted once, whatever the number of replicas."""

from typing import NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.core import keras_internals
from tf_fullbatch.core.kernels import fraction_correct
from tf_fullbatch.core.micro_batch import (
    MicroBatch,
    SampleLoss,
    StepScalars,
    added_losses,
    as_full_precision,
    counted,
    mean_loss,
    samples_of,
)
from tf_fullbatch.core.passes import Contribution
from tf_fullbatch.core.trees import Tree


class EvaluationMeans(NamedTuple):
    """Means over a data set.

    Attributes:
        loss: Scalar, with the network's own losses (regularizers).
    """

    loss: tf.Tensor


def mirror_average(network: keras.Model, inputs: tf.Tensor) -> tf.Tensor:
    """Mean of the network's outputs, at least float32, for images `[batch, height, width, channels]` and their
    mirror images."""
    outputs = as_full_precision(network(inputs, training=False))
    return (outputs + as_full_precision(network(tf.reverse(inputs, axis=[2]), training=False))) / 2


class EvaluationKernel:
    """Loss and accuracy of a micro-batch in inference, at the variables' present values; see `passes.Kernel`.

    Args:
        network: A built Keras model.
        sample_loss: Loss per sample.
        flip_averaging: Average the outputs for each image `[height, width, channels]` and its mirror image.
    """

    def __init__(self, network: keras.Model, sample_loss: SampleLoss, *, flip_averaging: bool):
        self._network = network
        self._sample_loss = sample_loss
        self._flip_averaging = flip_averaging

    def like(self) -> tuple[EvaluationMeans, tf.TensorSpec, tuple]:
        """The loss; the accuracy."""
        return EvaluationMeans(tf.TensorSpec([])), tf.TensorSpec([]), ()

    def __call__(self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars) -> Contribution:
        """The contribution of one micro-batch."""
        del theta, state, scalars
        outputs = self.outputs(batch.inputs)
        losses = self._sample_loss(batch.targets, outputs)
        mean, weight = mean_loss(losses, counted(keras_internals.mask_of(outputs), losses), outputs)
        loss = mean + added_losses(self._network.losses, losses.dtype)
        return Contribution(
            EvaluationMeans(loss),
            fraction_correct(batch.targets, outputs),
            (),
            weight,
            samples_of(batch.inputs),
            (batch.targets, outputs),
        )

    def outputs(self, inputs: tf.Tensor) -> tf.Tensor:
        """The network's outputs in inference, at least float32."""
        if self._flip_averaging:
            return mirror_average(self._network, inputs)
        return as_full_precision(self._network(inputs, training=False))
