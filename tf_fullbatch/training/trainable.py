"""What is asked of a model that is trained, and building what it lacks: optimizer, metrics, loss."""

from typing import Any, Protocol

import keras
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core import keras_internals
from tf_fullbatch.core.gradient_trace import SampleSpecs
from tf_fullbatch.core.micro_batch import Augmentation
from tf_fullbatch.core.training_loss import TrainingLoss
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.lookahead import slow_weights
from tf_fullbatch.training import refusals
from tf_fullbatch.training.compiled_loss import training_loss


class Trainable(Protocol):
    """What is asked of the model that parts are made for (`FullBatchModel`)."""

    network: keras.Model
    settings: StepConfig
    augmentation_function: Augmentation | None
    loss: Any
    optimizer: keras.optimizers.Optimizer
    distribute_strategy: tf.distribute.Strategy


def build_optimizer(model: Trainable) -> None:
    """Builds the optimizer of a model whose network is built.

    Raises:
        ValueError: The network has nothing to train.
    """
    network = model.network
    if not network.trainable_variables:
        raise ValueError(
            f"The network {network.name!r} has no trainable weights: there is nothing to train. Give it "
            "layers with weights, or set trainable=True on those it has."
        )
    if not model.optimizer.built:
        model.optimizer.build(network.trainable_variables)
    if model.settings.lookahead_steps is not None:
        slow_weights(model.optimizer, network.trainable_variables)


def build_metrics(model: Trainable, targets: Any, outputs: Any) -> None:
    """Builds the metrics given to `compile`, for specs of targets and symbolic outputs."""
    metrics = keras_internals.compiled_metrics(model)
    if metrics is not None and not metrics.built:
        metrics.build(symbolic(targets), outputs)


def loss_of(model: Trainable, samples: SampleSpecs) -> TrainingLoss:
    """The compiled loss of a model whose network is built, for data of these shapes.

    Raises:
        UserError: The settings, the network or the loss are not for them.
    """
    outputs = network_outputs(model.network, samples.inputs)
    refusals.refuse_for_images(model, samples.inputs, outputs)
    return training_loss(model, model.network, samples.targets, outputs)


def network_outputs(network: keras.Model, inputs: Any) -> Any:
    """Shapes and dtypes of a network's outputs.

    Raises:
        UserError: They are no tensors, or the network is not of such inputs.
    """
    refusals.refuse_other_inputs(network, inputs)
    try:
        outputs = network.compute_output_spec(symbolic(inputs))
    except Exception as error:
        if not getattr(network, "inputs", None):  # its `call` is the user's own
            raise
        raise refusals.other_shapes(network, inputs, error) from error
    wrong = [part for part in tf.nest.flatten(outputs) if not isinstance(part, keras.KerasTensor)]
    if wrong or not tf.nest.flatten(outputs):
        kind = type(wrong[0]).__name__ if wrong else type(outputs).__name__
        raise UserError(
            f"The network {network.name!r} returns a {kind}, but it must return one tensor, or a list, a tuple or a "
            "dictionary of tensors."
        )
    return outputs


def symbolic(specs: Any) -> Any:
    """A spec, or a structure of specs, as Keras has them."""
    return tf.nest.map_structure(lambda spec: keras.KerasTensor(spec.shape, spec.dtype.name), specs)
