"""Levels replaced by others, by a table of 256 for each image and channel: Pillow's ImageOps.

Some tables are known beforehand (`inverted`, `posterized`, `solarized`), some follow from an image's own levels
(`autocontrast`, `equalizing`).
"""

import numpy as np
import tensorflow as tf

LEVELS = np.arange(256)


def inverted() -> np.ndarray:
    """255 - x, `[256]`."""
    return 255 - LEVELS


def posterized(bits: int) -> np.ndarray:
    """The upper bits of x, the others 0, `[256]`."""
    return LEVELS & ~(2 ** (8 - bits) - 1)


def solarized(threshold: float) -> np.ndarray:
    """x below the threshold, 255 - x from there on, `[256]`."""
    return np.where(threshold > LEVELS, LEVELS, 255 - LEVELS)


def replaced(images: tf.Tensor, tables: tf.Tensor) -> tf.Tensor:
    """Images whose level x in a channel is what that channel's table has at x.

    Args:
        images: uint8 [batch, height, width, channels], static but for the batch.
        tables: int64 [batch, channels, 256], levels 0..255; or [batch, 1, 256] for all channels.

    Returns:
        uint8, the shape of `images`.
    """
    of_channels = tables.shape[1]
    table = tf.range(tf.shape(images, out_type=tf.int64)[0])[:, tf.newaxis] * of_channels
    table += tf.range(of_channels, dtype=tf.int64)
    places = table[:, tf.newaxis, tf.newaxis, :] * 256 + tf.cast(images, tf.int64)
    # GPUs have no kernel to gather uint8; bfloat16 holds 0..255 exactly.
    found = tf.gather(tf.reshape(tf.cast(tables, tf.bfloat16), [-1]), places)
    return tf.ensure_shape(tf.cast(found, tf.uint8), images.shape)


def autocontrast(images: tf.Tensor) -> tf.Tensor:
    """Tables that spread each channel over all levels: floor(255 (x - low) / (high - low)), its own lowest and highest.

    A channel of one level stays. Pillow computes it in float64 and truncates: where it is a whole number, it may come
    out one level lower there.

    Args:
        images: uint8 [batch, height, width, channels].

    Returns:
        int64 [batch, channels, 256].

    Source: Pillow's ImageOps.autocontrast.
    """
    levels = tf.constant(LEVELS, tf.int64)
    low = tf.cast(tf.reduce_min(tf.cast(images, tf.float32), [1, 2]), tf.int64)[..., tf.newaxis]
    high = tf.cast(tf.reduce_max(tf.cast(images, tf.float32), [1, 2]), tf.int64)[..., tf.newaxis]
    spread = 255 * tf.clip_by_value(levels - low, 0, 255) // tf.maximum(high - low, 1)
    return tf.where(high > low, tf.minimum(spread, 255), levels)


def equalizing(images: tf.Tensor) -> tf.Tensor:
    """Tables that make each channel's levels about equally frequent.

    With n_v pixels of level v and s = floor((N - n_last) / 255), `last` the highest level there is, x becomes
    floor((floor(s / 2) + sum of n_v over v < x) / s); where s is 0 it stays.

    Args:
        images: uint8 [batch, height, width, channels], static but for the batch.

    Returns:
        int64 [batch, channels, 256].

    Source: Pillow's ImageOps.equalize.
    """
    counts = _histograms(images)
    below = tf.cumsum(counts, axis=-1, exclusive=True)
    # Of the highest level there is, what lies below is all the rest.
    rest = tf.reduce_max(tf.where(counts > 0, below, tf.zeros_like(below)), axis=-1, keepdims=True)
    step = rest // 255
    found = (step // 2 + below) // tf.maximum(step, 1)
    return tf.where(step > 0, tf.minimum(found, 255), tf.constant(LEVELS, tf.int64))


def _histograms(images: tf.Tensor) -> tf.Tensor:
    """How many pixels of each channel have each level, int64 [batch, channels, 256]."""
    _, height, width, channels = images.shape
    batch = tf.shape(images, out_type=tf.int64)[0]
    channel = tf.range(batch)[:, tf.newaxis] * channels + tf.range(channels, dtype=tf.int64)
    bins = channel[:, tf.newaxis, tf.newaxis, :] * 256 + tf.cast(images, tf.int64)
    # float32 counts are exact up to 2^24, in any order, and have kernels everywhere.
    ones = tf.ones([batch * (height * width * channels)], tf.float32)
    counts = tf.math.unsorted_segment_sum(ones, tf.reshape(bins, [-1]), batch * (channels * 256))
    return tf.cast(tf.reshape(counts, [-1, channels, 256]), tf.int64)
