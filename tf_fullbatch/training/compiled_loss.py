"""The loss given to `compile`, as a loss per sample."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.core.micro_batch import SampleLoss
from tf_fullbatch.errors import UserError


def sample_loss(loss: Any) -> SampleLoss:
    """The loss given to `compile` as a function to one loss per sample.

    As Keras does, targets are cast to the outputs' dtype, and where the loss is a function, a last axis of size 1 that
    targets or outputs alone have is given to the others, or taken away: `[batch]` and `[batch, 1]` would broadcast to
    `[batch, batch]`. A loss may also be one number for the micro-batch as a whole.

    Raises:
        ValueError: The loss is missing, a structure of losses, does not reduce by a mean, or has its own `__call__`.
    """
    if not isinstance(loss, str | keras.losses.Loss | Callable):
        raise ValueError(
            f"compile() needs one loss (a name, a function or a keras.losses.Loss); it got {loss!r}."
        )
    loss = keras.losses.get(loss)
    is_function = not isinstance(loss, keras.losses.Loss)
    if not is_function and loss.reduction in ("sum", "none", None):
        how = "reduces by a sum" if loss.reduction == "sum" else "does not reduce (reduction=None)"
        raise ValueError(
            f"The loss {loss.name!r} {how}, but the full-batch gradient is a mean over samples: "
            "use reduction='sum_over_batch_size'."
        )
    if not is_function and type(loss).__call__ not in (
        keras.losses.Loss.__call__,
        SparseCrossentropy.__call__,
    ):
        raise UserError(
            f"The loss {loss.name!r} ({type(loss).__name__}) has a __call__ of its own, which steps of micro-batches "
            "would not use: override call(), which returns a loss per sample."
        )
    function = loss if is_function else loss.call

    def losses(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        targets = tf.cast(targets, outputs.dtype)
        if is_function and targets.shape.rank == outputs.shape.rank - 1 and outputs.shape[-1] == 1:
            targets = targets[..., tf.newaxis]
        if is_function and targets.shape.rank == outputs.shape.rank + 1 and targets.shape[-1] == 1:
            if outputs.shape.rank == 1:
                outputs = outputs[..., tf.newaxis]
            else:
                targets = tf.squeeze(targets, -1)
        return function(targets, outputs)

    return losses
