"""Every private attribute of Keras 3.15 that training needs, in one place."""

from collections.abc import Sequence
from typing import Any

import keras


def compiled_metrics(model: keras.Model) -> keras.metrics.Metric | None:
    """The container of the metrics given to `compile`, if any; `model.metrics` also lists Keras' own mean loss."""
    return model._compile_metrics


def compile_key(model: keras.Model) -> tuple[Any, ...]:
    """What changes when `compile` is called again."""
    return (model.optimizer, model._compile_loss, model._compile_metrics)


def loss_weights(model: keras.Model) -> Any:
    """The loss weights given to `compile`; None without."""
    return getattr(model._compile_loss, "_user_loss_weights", None)


def assert_compiled(model: keras.Model, method: str) -> None:
    """Raises Keras' own error where `compile` was not called."""
    model._assert_compile_called(method)


def restored_epoch(model: keras.Model) -> int | None:
    """The epoch that a callback restored in `on_train_begin` (BackupAndRestore does); None without."""
    return model._initial_epoch or None


def layers(model: keras.Model) -> Sequence[keras.layers.Layer]:
    """The model and all layers in it, nested ones too."""
    return list(model._flatten_layers())
