"""Puts the compiled parts of a step together from settings, network, loss and optimizer."""

from collections.abc import Callable
from typing import Any, Protocol

import keras
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core.micro_batch import Augmentation, Objective, SampleLoss
from tf_fullbatch.core.network_state import NetworkState
from tf_fullbatch.core.penalties import EXACT
from tf_fullbatch.data.augment.build import build_augmentation
from tf_fullbatch.errors import UserError
from tf_fullbatch.training.evaluation import EvaluationFunctions
from tf_fullbatch.training.step import StepFunctions


class Trainable(Protocol):
    """What is asked of the model that a step is made for (`UpdateBatchModel`)."""

    network: keras.Model
    settings: StepConfig
    augmentation_function: Augmentation | None
    loss: Any
    optimizer: keras.optimizers.Optimizer
    distribute_strategy: tf.distribute.Strategy
    compiled_metrics_or_none: keras.metrics.Metric | None


def build_step(model: Trainable, inputs: tf.TensorSpec) -> StepFunctions:
    """The compiled step of a compiled model whose network and optimizer are built.

    Args:
        model: The model.
        inputs: Shape and dtype of a batch of inputs.

    Raises:
        UserError: Settings that this network cannot be trained with.
    """
    settings = model.settings
    objective = Objective(
        model.network,
        NetworkState(model.network, inputs),
        sample_loss(model.loss),
        penalty=settings.penalty,
        penalty_epsilon=settings.penalty_epsilon,
        augmentation=model.augmentation_function or _augmentation(settings),
        seed=settings.seed,
        jit_compile=use_xla(settings, model.network),
    )
    return StepFunctions(
        objective=objective,
        optimizer=model.optimizer,
        settings=settings,
        strategy=model.distribute_strategy,
        metrics=model.compiled_metrics_or_none,
    )


def build_evaluation(model: Trainable) -> EvaluationFunctions:
    """The compiled evaluation of a compiled model whose network is built."""
    return EvaluationFunctions(
        network=model.network,
        sample_loss=sample_loss(model.loss),
        flip_averaging=model.settings.flip_averaging,
        micro_batch_size=model.settings.micro_batch_size,
        strategy=model.distribute_strategy,
        metrics=model.compiled_metrics_or_none,
    )


def network_outputs(network: keras.Model, inputs: tf.TensorSpec) -> keras.KerasTensor:
    """Shape and dtype of a network's outputs.

    Raises:
        ValueError: It has not exactly one.
    """
    outputs = network.compute_output_spec(symbolic(inputs))
    if not isinstance(outputs, keras.KerasTensor):
        raise ValueError(
            f"The network {network.name!r} returns a {type(outputs).__name__}, but it must return one tensor: "
            "give keras.Model(inputs, outputs) a single output."
        )
    return outputs


def symbolic(spec: tf.TensorSpec) -> keras.KerasTensor:
    """A spec as Keras has it."""
    return keras.KerasTensor(spec.shape, spec.dtype.name)


def use_xla(settings: StepConfig, network: keras.Model) -> bool:
    """Whether the micro-batch's gradient is compiled by XLA; `auto`: where there is a GPU and it is exact.

    XLA's second derivative of max pooling confuses nearly equal pixels (errors of about 1 % were seen in
    TensorFlow 2.21), so exact penalties of networks with max pooling go without.

    Raises:
        UserError: `jit_compile="on"` for such a network and penalty.
    """
    pooling = any(isinstance(layer, keras.layers.MaxPooling2D) for layer in network._flatten_layers())
    inexact = pooling and settings.penalty in EXACT
    if settings.jit_compile == "on" and inexact:
        raise UserError(
            f"--jit_compile=on with --penalty={settings.penalty}: XLA's second derivative of max pooling is wrong. "
            "Use --jit_compile=off, a finite-difference --penalty, or --stem=cifar."
        )
    if settings.jit_compile == "auto":
        return bool(tf.config.list_physical_devices("GPU")) and not inexact
    return settings.jit_compile == "on"


def refuse_unsupported(model: keras.Model) -> None:
    """Refuses what stock Keras would honour after `compile` and a step of micro-batches would silently ignore.

    Raises:
        ValueError: Loss scaling, several steps an execution, or loss weights.
    """
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "Loss scaling (Keras' default under the dtype policy mixed_float16) is not supported: use "
            "mixed_bfloat16, or compile with auto_scale_loss=False."
        )
    if model.optimizer.gradient_accumulation_steps:
        raise ValueError(
            "gradient_accumulation_steps is not supported: the step itself accumulates, see fit's batch_size."
        )
    if model.steps_per_execution != 1:
        raise ValueError(f"steps_per_execution={model.steps_per_execution} is not supported: leave it at 1.")
    if getattr(model._compile_loss, "_user_loss_weights", None) is not None:
        raise ValueError("loss_weights is not supported: scale the loss itself.")


def sample_loss(loss: Any) -> SampleLoss:
    """The loss given to `compile` as a function to one loss a sample.

    As Keras does, targets are cast to the outputs' dtype, and where the loss is a function, `[batch]` targets of
    `[batch, 1]` outputs get that last axis: without it they would broadcast to `[batch, batch]`.

    Raises:
        ValueError: The loss is missing, a structure of losses, or reduces by a sum.
    """
    if not isinstance(loss, str | keras.losses.Loss | Callable):
        raise ValueError(
            f"compile() needs one loss (a name, a function or a keras.losses.Loss); it got {loss!r}."
        )
    loss = keras.losses.get(loss)
    is_function = not isinstance(loss, keras.losses.Loss)
    if not is_function and loss.reduction == "sum":
        raise ValueError(
            f"The loss {loss.name!r} reduces by a sum, but the full-batch gradient is a mean over samples: "
            "use reduction='sum_over_batch_size'."
        )
    function = loss if is_function else loss.call

    def losses(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        targets = tf.cast(targets, outputs.dtype)
        if is_function and targets.shape.rank == outputs.shape.rank - 1 and outputs.shape[-1] == 1:
            targets = targets[..., tf.newaxis]
        return function(targets, outputs)

    return losses


def _augmentation(settings: StepConfig) -> Augmentation | None:
    return build_augmentation(
        settings.augmentation,
        padding=settings.augmentation_padding,
        seed=settings.seed,
        magnitude=settings.randaugment_magnitude,
        augmentations_per_image=settings.randaugment_operations,
    )
