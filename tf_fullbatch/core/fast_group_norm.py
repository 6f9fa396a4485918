"""Group normalisation by few large operations, right in derivatives of every order.

Keras reshapes `[batch, height, width, channels]` to `[batch, height, width, groups, channels of a group]` and works
there, where the last axis is short (2 in most of our networks): TensorFlow's kernels take it a few numbers at a time.
Here the sums over pixels come first, channel by channel, and the groups are taken of these; all that is as large as
the inputs is elementwise along the channels. The mean is subtracted before it is scaled, so nothing cancels.
"""

import contextlib

import keras
import tensorflow as tf

from tf_fullbatch.core.replacement import Replacement


def _call(layer: keras.layers.GroupNormalization, inputs: tf.Tensor) -> tf.Tensor:
    if type(layer) is not keras.layers.GroupNormalization or layer.axis not in (-1, inputs.shape.rank - 1):
        return _CALL.original(layer, inputs)
    shape = tf.shape(inputs)
    channels = inputs.shape[-1]
    wide = tf.float64 if inputs.dtype == tf.float64 else tf.float32
    x = tf.cast(tf.reshape(inputs, [shape[0], tf.reduce_prod(shape[1:-1]), channels]), wide)
    centred = x - _over_groups(tf.reduce_mean(x, 1), layer.groups)
    variance = _over_groups(tf.reduce_mean(tf.square(centred), 1), layer.groups)
    scale = tf.math.rsqrt(variance + layer.epsilon)
    if layer.scale:
        scale *= tf.cast(layer.gamma, wide)
    normalised = centred * scale
    if layer.center:
        normalised += tf.cast(layer.beta, wide)
    # As Keras rounds: to the inputs' precision, then to the layer's.
    return tf.cast(tf.cast(tf.reshape(normalised, shape), inputs.dtype), layer.compute_dtype)


def _over_groups(of_channels: tf.Tensor, groups: int) -> tf.Tensor:
    """Means over each group's channels, `[batch, 1, channels]`, from `[batch, channels]`."""
    batch, channels = tf.shape(of_channels)[0], of_channels.shape[-1]
    means = tf.reduce_mean(tf.reshape(of_channels, [batch, groups, channels // groups]), -1, keepdims=True)
    spread = tf.broadcast_to(means, [batch, groups, channels // groups])
    return tf.reshape(spread, [batch, 1, channels])


_CALL = Replacement(keras.layers.GroupNormalization, "call", _call)


def fast_group_norm() -> contextlib.AbstractContextManager[None]:
    """Within it, Keras' GroupNormalization layers are run or traced so.

    Subclasses and axes other than the last keep their own operations. It may be nested and entered from several
    threads; the replacement lasts until the last one leaves.
    """
    return _CALL.made()
