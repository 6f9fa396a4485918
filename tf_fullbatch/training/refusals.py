"""What Keras' `fit` and `evaluate` would take and a full-batch model does not, each refused in one line."""

from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core import keras_internals
from tf_fullbatch.errors import UserError, one_line
from tf_fullbatch.optim.rules.objective_optimizer import ObjectiveOptimizer


def refuse_unsupported(model: keras.Model) -> None:
    """Refuses what stock Keras would honour after `compile` and a step of micro-batches would silently ignore.

    Raises:
        ValueError: Loss scaling, XLA or eager steps asked of `compile`, lookahead of a method that searches, a
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
    lookahead = model.settings.lookahead_steps
    if lookahead is not None and isinstance(model.optimizer, ObjectiveOptimizer):
        raise UserError(
            f"--lookahead_steps={lookahead} with the optimizer {model.optimizer.name}, which chooses the length of its "
            "steps itself: leave it out, or use a method without a search."
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


def refuse_for_images(model: Any, inputs: Any, outputs: Any) -> None:
    """Refuses what is done to images where it would be done to something else, or to images alone.

    Args:
        model: The model.
        inputs: Spec of a batch of inputs, or a structure of specs.
        outputs: The symbolic outputs.

    Raises:
        UserError: Augmentation or averaged views, and several inputs, or outputs for each place of an image, which
            would have to be moved alike; averaged views of several outputs, or of anything but images.
    """
    settings, name = model.settings, model.network.name
    views = [f"{setting}={value!r}" for setting, value in settings.averages_views.items()]
    built_in = [f"augmentation={settings.augmentation!r}"] if settings.augmentation != "none" else []
    own = ["augmentation_function"] if model.augmentation_function is not None else []
    asked = [*own, *built_in, *views]
    if asked and tf.nest.is_nested(inputs):
        raise UserError(
            f"{asked[0]} is for a network of one input, but {name!r} gets {len(tf.nest.flatten(inputs))}: leave it "
            "out, or augment within the network."
        )
    if views and tf.nest.is_nested(outputs):
        raise UserError(
            f"{views[0]} is for a network of one output, but {name!r} has {len(tf.nest.flatten(outputs))}: leave it "
            "out."
        )
    if views and len(inputs.shape) != 4:
        raise UserError(
            f"{views[0]} is for images (height, width, channels), but inputs are of the shape "
            f"{tuple(inputs.shape[1:])}: leave it out."
        )
    moved = [*built_in, *views]
    of_places = [tuple(o.shape[1:]) for o in tf.nest.flatten(outputs) if len(o.shape) > 2]
    if moved and of_places:
        raise UserError(
            f"{moved[0]} moves images, but not the targets of the outputs of {name!r}, whose shape "
            f"{of_places[0]} has places: leave it out, or augment both when the data are made."
        )


def refuse_copies(max_up: int, *, augmented: bool, outputs: int) -> None:
    """Refuses several copies of a sample that nothing tells apart, or of which no one loss tells the hardest.

    Raises:
        UserError: They are asked for without an augmentation, or with a network of so many `outputs`.
    """
    if max_up > 1 and outputs > 1:
        raise UserError(
            f"--max_up={max_up} is for a network of one output, and this one has {outputs}: leave it at 1."
        )
    if max_up > 1 and not augmented:
        raise UserError(
            f"--max_up={max_up} takes augmented copies of each sample, which are all the same without an augmentation: "
            "choose an --augmentation, or leave it at 1."
        )


def refuse_other_inputs(network: keras.Model, inputs: Any) -> None:
    """Refuses another number of inputs than a functional network has.

    Raises:
        UserError: There are more or fewer.
    """
    tensors, given = getattr(network, "inputs", None) or [], tf.nest.flatten(inputs)
    if tensors and len(tensors) != len(given):
        names = ", ".join(repr(tensor.name) for tensor in tensors)
        raise UserError(
            f"The network {network.name!r} has {len(tensors)} input{'s' * (len(tensors) > 1)} ({names}), but x has "
            f"{len(given)}: give one array per input, in a list or by name."
        )


def other_shapes(network: keras.Model, inputs: Any, error: Exception) -> UserError:
    """The error of a functional network that cannot be called on inputs of such specs, in one line."""
    shapes = tf.nest.map_structure(lambda spec: tuple(spec.shape), inputs)
    return UserError(
        f"The network {network.name!r} cannot be called on inputs of the shapes {shapes}: {one_line(error)}"
    )
