"""The loss given to `compile`, as a loss per sample."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core.micro_batch import SampleLoss


def sample_loss(loss: Any) -> SampleLoss:
    """The loss given to `compile` as a function to one loss per sample.

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
