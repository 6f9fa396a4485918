"""Images brought to one size."""

import tensorflow as tf


def resize_square(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """The central square of the shorter side, resized bilinearly with antialiasing and rounded, uint8.

    Args:
        pixels: uint8 `[height, width, channels]`.
        size: Height and width of the result.
    """
    shape = tf.shape(pixels)
    side = tf.minimum(shape[0], shape[1])
    square = tf.image.resize_with_crop_or_pad(pixels, side, side)
    resized = tf.image.resize(square, [size, size], method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
