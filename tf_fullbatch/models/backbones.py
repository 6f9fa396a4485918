"""--model=package.module:Class: classes of networks that take images and end in features (KerasHub's backbones)."""

import inspect
from typing import Any

import keras

from tf_fullbatch.core import keras_internals
from tf_fullbatch.errors import UserError, one_line
from tf_fullbatch.settings import own_parts
from tf_fullbatch.settings.part_names import is_users_code

_SHAPE = "image_shape"


def is_backbone(value: str) -> bool:
    """Whether a --model is a backbone: a class of Keras models that is made with `image_shape`. Imports its module.

    Raises:
        UserError: It is of a user's module that cannot be imported, or not there.
    """
    if not is_users_code(value):
        return False
    made = own_parts.function_of("model", value)
    is_class = inspect.isclass(made) and issubclass(made, keras.Model)
    return is_class and _SHAPE in inspect.signature(made).parameters


def backbone_features(value: str, options: dict[str, Any], x: keras.KerasTensor) -> keras.KerasTensor:
    """The features of a backbone, averaged over pixels or tokens.

    Args:
        value: What `is_backbone` is true of.
        options: Of its class, before ours.
        x: Normalised pixels, `[batch, height, width, channels]`.

    Returns:
        `[batch, features]`.

    Raises:
        UserError: It does not take these options or images, or returns anything but features of one kind.
    """
    made, shape = own_parts.function_of("model", value), tuple(x.shape[1:])
    with keras_internals.names_from_the_start():  # the same names, whatever the process has made before
        backbone = own_parts.called("model", value, made, {}, {_SHAPE: shape} | options)
        try:
            found = backbone(x)
        except Exception as error:
            said = one_line(error)
            raise UserError(
                f"--model={value} cannot be called on images of the shape {shape}: {said}"
            ) from error
        rank = len(found.shape) if isinstance(found, keras.KerasTensor) else None
        if rank == 2:
            return found
        if rank == 3:
            return keras.layers.GlobalAveragePooling1D(name="mean_over_tokens")(found)
        if rank == 4:
            return keras.layers.GlobalAveragePooling2D(name="mean_over_pixels")(found)
    raise UserError(
        f"--model={value} returns {type(found).__name__} of {rank or 'no'} axes: a backbone returns features, [batch, "
        "features], [batch, tokens, features] or [batch, height, width, features]; give a function of your own."
    )
