"""Pixels taken from elsewhere in their image."""

import tensorflow as tf


def gather_pixels(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Images whose pixel (y, x) is that of (rows, columns) in the given ones.

    Args:
        images: uint8 [batch, height, width, channels], static but for the batch.
        rows: int64, broadcasts with `columns` to [batch, height, width]; each in 0..height-1.
        columns: int64, each in 0..width-1.

    Returns:
        uint8, the shape of `images`.
    """
    _, height, width, channels = images.shape
    image = tf.range(tf.shape(images, out_type=tf.int64)[0])[:, tf.newaxis, tf.newaxis]
    # GPUs have no kernel to gather uint8; bfloat16 holds 0..255 exactly.
    pixels = tf.reshape(tf.cast(images, tf.bfloat16), [-1, channels])
    found = tf.gather(pixels, (image * height + rows) * width + columns)
    return tf.ensure_shape(tf.cast(found, tf.uint8), images.shape)
