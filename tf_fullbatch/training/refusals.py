"""What Keras' `fit` and `evaluate` would take and a full-batch model does not, each refused in one line."""

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import keras
import tensorflow as tf

from tf_fullbatch.core import keras_internals
from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.errors import UserError

_ARGUMENTS = {
    "sample_weight": "scale the loss itself, or repeat samples",
    "class_weight": "scale the loss itself, or repeat samples",
    "validation_split": "split the arrays and give validation_data=(inputs, targets)",
    "validation_steps": "all of validation_data is evaluated",
    "validation_batch_size": "evaluation goes in micro-batches",
    "steps_per_epoch": "an epoch is one pass over the samples; batch_size says how many make an update",
}
"""Argument -> what to do instead."""


def refuse_unsupported(model: keras.Model) -> None:
    """Refuses what stock Keras would honour after `compile` and a step of micro-batches would silently ignore.

    Raises:
        ValueError: Loss scaling, several steps per execution, loss weights, XLA or eager steps asked of `compile`, a
            `compute_loss` or `train_step` of the user's own.
    """
    _refuse_overridden(model)
    if isinstance(model.optimizer, keras.optimizers.MultiOptimizer):
        raise UserError(
            "MultiOptimizer is not supported: it has no one learning rate, which steps record and penalties use. Give "
            "one optimizer."
        )
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "Loss scaling (Keras' default under the dtype policy mixed_float16) is not supported: use "
            "mixed_bfloat16, or compile with auto_scale_loss=False."
        )
    if model.optimizer.loss_scale_factor is not None:
        raise UserError(
            f"loss_scale_factor={model.optimizer.loss_scale_factor} is not supported: the optimizer would divide by it "
            "a gradient that was never multiplied. Leave it unset; mixed_bfloat16 needs no loss scaling."
        )
    if model.optimizer.gradient_accumulation_steps:
        raise ValueError(
            "gradient_accumulation_steps is not supported: the step itself accumulates, see fit's batch_size."
        )
    if model.steps_per_execution != 1:
        raise ValueError(f"steps_per_execution={model.steps_per_execution} is not supported: leave it at 1.")
    if keras_internals.loss_weights(model) is not None:
        raise ValueError("loss_weights is not supported: scale the loss itself.")


def _refuse_overridden(model: keras.Model) -> None:
    """Refuses what a step of micro-batches would not call, or not heed."""
    if keras_internals.compile_argument(model, "jit_compile") is True:
        raise UserError("compile(jit_compile=True) is not heeded: give FullBatchModel(jit_compile='on').")
    if keras_internals.compile_argument(model, "run_eagerly"):
        raise UserError("compile(run_eagerly=True) is not supported: steps are compiled. Leave it unset.")
    stock = keras.Model
    for owner, names in ((model, ("compute_loss",)), (model.network, ("compute_loss", "train_step"))):
        for name in names:
            if getattr(type(owner), name) is not getattr(stock, name):
                raise UserError(
                    f"{type(owner).__name__}.{name} would not be called: give compile() the loss, and add other terms "
                    "by add_loss() in a layer."
                )


def refuse_changed_training(trained: tuple, network: keras.Model) -> None:
    """Refuses a network whose layers or weights were frozen or thawed after its step was made.

    Args:
        trained: What trained then (`keras_internals.what_trains`).
        network: The network.

    Raises:
        UserError: Something else trains now. Keras would go on with what trained then, silently.
    """
    if keras_internals.what_trains(network) != trained:
        raise UserError(
            f"Layers or weights of the network {network.name!r} were frozen or thawed since compile(): call "
            "compile() again, which makes the step anew."
        )


def refuse_arguments(method: str, given: Mapping[str, Any]) -> None:
    """Refuses arguments of Keras' `fit` or `evaluate` that would be ignored; None, and a split of 0, pass.

    Args:
        method: "fit" or "evaluate".
        given: The arguments that the model's own method does not name.

    Raises:
        UserError: An argument that Keras knows.
        TypeError: One that it does not.
    """
    for name, value in given.items():
        if name not in _ARGUMENTS:
            raise TypeError(f"{method}() got an unexpected argument {name!r}.")
        if value is not None and not (name == "validation_split" and value == 0):
            raise UserError(f"{method}() does not take {name}: {_ARGUMENTS[name]}.")


def refuse_on_batch(method: str) -> NoReturn:
    """Refuses `train_on_batch` and `test_on_batch`, which know nothing of update batches and micro-batches."""
    instead = "evaluate(x, y)" if method == "test_on_batch" else "fit(x, y), one update with batch_size=None"
    raise UserError(f"{method}() is not supported: use {instead}.")


def refuse_data(data: Any, name: str = "x") -> None:
    """Refuses what is not one array of samples.

    Args:
        data: What was given for inputs or targets.
        name: The argument's name, for the message.

    Raises:
        UserError: A data set or generator, or several arrays.
    """
    if isinstance(
        data, tf.data.Dataset | tf.distribute.DistributedDataset | keras.utils.PyDataset | Iterator
    ):
        raise UserError(
            f"{name} is a {type(data).__name__}, but an update needs to know all of its samples: give arrays, for "
            "instance np.concatenate of its batches."
        )
    several = isinstance(data, Mapping) or (
        isinstance(data, list | tuple) and any(len(getattr(part, "shape", ())) for part in data)
    )
    if several:
        raise UserError(
            f"{name} is a {type(data).__name__} of {len(data)} arrays, but the network gets one: concatenate them "
            "along a feature axis, and let the network slice that."
        )


def refuse_several_inputs(network: keras.Model) -> None:
    """Refuses a functional network of more than one input.

    Raises:
        UserError: It has several.
    """
    inputs = getattr(network, "inputs", None) or []
    if len(inputs) > 1:
        names = ", ".join(repr(tensor.name) for tensor in inputs)
        raise UserError(
            f"The network {network.name!r} has {len(inputs)} inputs ({names}), but it gets one array: give it one "
            "input and slice that within."
        )


def classes_of(loss: Any, outputs: keras.KerasTensor) -> tuple[int | None, int | None]:
    """(C, ignored class) where a loss takes class numbers below C, for `data.checks.check_targets`; else (None, None).

    Args:
        loss: What was given to `compile`.
        outputs: The network's outputs, `[batch, ..., C]`.
    """
    loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
        return outputs.shape[-1], loss.get_config().get("ignore_class")
    if isinstance(loss, SparseCrossentropy) or loss is keras.losses.sparse_categorical_crossentropy:
        return outputs.shape[-1], None
    return None, None
