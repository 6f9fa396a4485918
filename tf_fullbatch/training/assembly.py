"""Puts the compiled parts of a `FullBatchModel` together once its network and data are known."""

from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from tf_fullbatch.data.augment import build_augmentation
from tf_fullbatch.data.pipeline import UpdateBatches
from tf_fullbatch.network_state import NetworkState
from tf_fullbatch.objective import Objective, SampleLoss
from tf_fullbatch.training.evaluation import EvaluationFunctions
from tf_fullbatch.training.step import StepFunctions

if TYPE_CHECKING:
    from tf_fullbatch.training.full_batch_model import FullBatchModel


def build_step(model: "FullBatchModel", data: UpdateBatches) -> StepFunctions:
    """The compiled step of a built and compiled model, for data of these shapes and dtypes."""
    settings = model.settings
    augmentation = model.augmentation_function or build_augmentation(
        settings.augmentation,
        padding=settings.augmentation_padding,
        seed=settings.seed,
        magnitude=settings.randaugment_magnitude,
        augmentations_per_image=settings.randaugment_operations,
    )
    jit = settings.jit_compile == "on"
    if settings.jit_compile == "auto":
        jit = bool(tf.config.list_physical_devices("GPU"))
    objective = Objective(
        model.network,
        NetworkState(model.network, data.element_spec[0]),
        sample_loss(model),
        penalty=settings.penalty,
        penalty_epsilon=settings.penalty_epsilon,
        augmentation=augmentation,
        seed=settings.seed,
        jit_compile=jit,
    )
    return StepFunctions(
        objective=objective,
        optimizer=model.optimizer,
        settings=settings,
        strategy=model.distribute_strategy,
        metrics=model.compiled_metrics_or_none,
    )


def build_evaluation(model: "FullBatchModel") -> EvaluationFunctions:
    """The compiled evaluation of a built and compiled model."""
    return EvaluationFunctions(
        network=model.network,
        sample_loss=sample_loss(model),
        flip_averaging=model.settings.flip_averaging,
        micro_batch_size=model.settings.micro_batch_size,
        strategy=model.distribute_strategy,
        metrics=model.compiled_metrics_or_none,
    )


def sample_loss(model: "FullBatchModel") -> SampleLoss:
    """The compiled loss as a function to one loss a sample.

    Raises:
        ValueError: The loss is missing, a structure of losses, or reduces by a sum.
    """
    loss = model.get_compile_config().get("loss") if model.compiled else None
    loss = keras.saving.deserialize_keras_object(loss) if isinstance(loss, dict) else loss
    if not isinstance(loss, str | keras.losses.Loss) and not callable(loss):
        raise ValueError(
            f"compile() needs one loss (a name, a function or a keras.losses.Loss), but it got {loss!r}."
        )
    loss = keras.losses.get(loss)
    if not isinstance(loss, keras.losses.Loss):
        return loss
    if loss.reduction == "sum":
        raise ValueError(
            f"The loss {loss.name!r} reduces by a sum, but the full-batch gradient is a mean over samples: "
            "use reduction='sum_over_batch_size'."
        )
    return loss.call
