"""Loss and accuracy over a data set, every sample counted once, whatever the number of replicas."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.core.micro_batch import MicroBatch, StepScalars, added_losses
from tf_fullbatch.core.passes import Contribution, Scored
from tf_fullbatch.core.training_loss import TrainingLoss
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.core.weighted_means import samples_of
from tf_fullbatch.training.views import Outputs


class EvaluationMeans(NamedTuple):
    """Means over a data set.

    Attributes:
        loss: Scalar, with the network's own losses (regularizers).
        cross_entropy: Scalar, see `TrainingLoss.cross_entropy`; 0 where that has no meaning.
    """

    loss: tf.Tensor
    cross_entropy: tf.Tensor


class EvaluationKernel:
    """Loss and accuracy of a micro-batch in inference, at the variables' present values; see `passes.Kernel`.

    Args:
        network: A built Keras model.
        training_loss: The loss of the network's outputs.
        outputs: How the network's outputs are made, see `views`.
    """

    def __init__(self, network: keras.Model, training_loss: TrainingLoss, outputs: Outputs):
        self._network = network
        self._training_loss = training_loss
        self._outputs = outputs

    def like(self) -> tuple[EvaluationMeans, tf.TensorSpec, tuple]:
        """The loss and the cross-entropy; the accuracy."""
        return EvaluationMeans(tf.TensorSpec([]), tf.TensorSpec([])), tf.TensorSpec([]), ()

    def __call__(self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars) -> Contribution:
        """The contribution of one micro-batch."""
        del theta, state, scalars
        outputs = self.outputs(batch.inputs)
        found = self._training_loss(batch.targets, outputs, batch.weights)
        loss = found.mean + added_losses(self._network.losses, found.mean.dtype)
        cross_entropy = self._training_loss.cross_entropy(batch.targets, outputs, batch.weights, found)
        return Contribution(
            EvaluationMeans(loss, cross_entropy),
            self._training_loss.accuracy(batch.targets, outputs),
            (),
            found.weight,
            samples_of(batch.sample_ids),
            Scored(batch.targets, outputs, batch.weights, found),
        )

    def outputs(self, inputs: Any) -> Any:
        """The network's outputs in inference, at least float32."""
        return self._outputs(self._network, inputs)
