"""Batch normalisation by TensorFlow's fused kernel, where first derivatives alone are wanted.

Keras normalises by `tf.nn.moments` and elementary operations. The fused kernel computes the same function in one
sweep; on two CPU cores ResNet-18 gains 8 % in float32 and 39 % in bfloat16. Its gradient can be differentiated
again, at several times the cost of the plain operations, so exact products keep those.
"""

import contextlib

import keras
import tensorflow as tf

from tf_fullbatch.core.replacement import Replacement

_KERNEL_DTYPES = (tf.float32, tf.bfloat16, tf.float16)


def _call(
    layer: keras.layers.BatchNormalization,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    if not (training and layer.trainable and mask is None and _fits(layer, inputs)):
        return _CALL.original(layer, inputs, training=training, mask=mask)
    channels = inputs.shape[-1]
    images = inputs if inputs.shape.rank == 4 else inputs[:, tf.newaxis, tf.newaxis, :]
    fused = tf.raw_ops.FusedBatchNormV3(
        x=images,
        scale=tf.cast(layer.gamma, tf.float32) if layer.scale else tf.ones([channels]),
        offset=tf.cast(layer.beta, tf.float32) if layer.center else tf.zeros([channels]),
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        epsilon=layer.epsilon,
        is_training=True,
    )
    count = tf.cast(tf.size(inputs) // channels, tf.float32)
    # The kernel returns the unbiased variance, Keras' moving variance is of biased ones.
    biased = fused.batch_variance * (tf.maximum(count - 1, 1) / count)
    for moving, measured in ((layer.moving_mean, fused.batch_mean), (layer.moving_variance, biased)):
        kept = tf.cast(moving, tf.float32)
        moving.assign(kept * layer.momentum + measured * (1.0 - layer.momentum))
    outputs = fused.y if inputs.shape.rank == 4 else fused.y[:, 0, 0, :]
    return tf.cast(outputs, layer.compute_dtype)


def _fits(layer: keras.layers.BatchNormalization, inputs: tf.Tensor) -> bool:
    return (
        inputs.dtype in _KERNEL_DTYPES
        and inputs.shape.rank in (2, 4)
        and layer.axis in (-1, inputs.shape.rank - 1)
        and inputs.shape[-1] is not None
        and not layer.synchronized
        and not layer.renorm
        and layer.moving_mean.dtype == "float32"
    )


_CALL = Replacement(keras.layers.BatchNormalization, "call", _call)


def fused_batch_norm() -> contextlib.AbstractContextManager[None]:
    """Within it, Keras' BatchNormalization layers that train are run or traced with the fused kernel.

    Layers that the kernel does not fit keep their own operations: axes other than the last, inputs of other ranks
    than 2 and 4, float64, masks, renormalisation, statistics over replicas. It may be nested and entered from several
    threads; the replacement lasts until the last one leaves.
    """
    return _CALL.made()
