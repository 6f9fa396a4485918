"""Which samples a network classifies correctly, where its loss and targets are of classes."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core.losses import BINARY, keras_function, takes_logits

Correct = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Maps (targets, outputs) to whether each sample is classified correctly, bool `[batch]`."""

_ONE_HOT = (keras.losses.categorical_crossentropy, keras.losses.categorical_focal_crossentropy)


def correct_by(loss: keras.losses.Loss, targets: Any, outputs: Any) -> Correct | None:
    """How it is told whether a sample is classified correctly; None where that has no meaning.

    - Class numbers `[batch]` and outputs `[batch, classes]`, of any loss: the largest output is the target's.
    - One-hot targets and outputs `[batch, classes]` of a categorical cross-entropy: the largest output is where the
      largest target is (`keras.metrics.CategoricalAccuracy`).
    - Targets 0 or 1 and one output, each `[batch]` or `[batch, 1]`, of a binary cross-entropy: the output is above 0
      (logits) or 1/2 (probabilities) where the target is 1 (`keras.metrics.BinaryAccuracy`).

    Args:
        loss: Of the output.
        targets: Spec of a batch of its targets.
        outputs: The symbolic output.
    """
    one_per_class = len(outputs.shape) == 2 and outputs.shape[1] != 1
    if one_per_class and targets.dtype.is_integer and len(targets.shape) == 1:
        return of_class_numbers
    function = keras_function(loss)
    if one_per_class and function in _ONE_HOT and len(targets.shape) == 2:
        return of_one_hot
    if function in BINARY and all(tuple(part.shape[1:]) in ((), (1,)) for part in (targets, outputs)):
        return of_logits if takes_logits(loss) else of_probabilities
    return None


def of_class_numbers(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Whether the largest output of a sample, `[batch, classes]`, is at its class, `[batch]`."""
    index = targets.dtype if targets.dtype in (tf.int32, tf.int64) else tf.int64
    return tf.argmax(outputs, axis=-1, output_type=index) == tf.cast(targets, index)


def of_one_hot(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Whether the largest output of a sample is at its largest target, both `[batch, classes]`."""
    return tf.argmax(outputs, axis=-1) == tf.argmax(targets, axis=-1)


def of_logits(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Whether a sample's logit is above 0 if and only if its target is 1."""
    return _above(0, targets, outputs)


def of_probabilities(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Whether a sample's probability is above 1/2 if and only if its target is 1."""
    return _above(0.5, targets, outputs)


def _above(threshold: float, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    chosen = tf.cast(outputs > threshold, outputs.dtype)
    return tf.reshape(chosen, [-1]) == tf.reshape(tf.cast(targets, outputs.dtype), [-1])
