"""Images between two others, and what they are blended with: black, grey, the mean grey, a smoothed image.

Pillow's `ImageEnhance` with whole numbers, so that no device and no compiler rounds otherwise. Pillow multiplies
float32s and truncates, so that where the product is a whole number it may come out one level lower than here.
"""

import tensorflow as tf

BITS = 20
"""Factors are whole multiples of 2^-20."""
ONE = 1 << BITS
_SLACK = 128  # 255 levels times half a unit: what the rounding of a factor may take from a product


def fixed(factor: float) -> int:
    """A factor in units of 2^-20, rounded."""
    return round(factor * ONE)


def blended(degenerate: tf.Tensor, images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """floor(d + f (x - d)), within 0..255: d at factor 0, x at factor 1, beyond it at others.

    Args:
        degenerate: d, uint8, broadcasts to `images`.
        images: x, uint8 [batch, ...].
        factors: f, int64 [batch], in units of 2^-20, see `fixed`.

    Returns:
        uint8, the shape of `images`.

    Source: Pillow's ImageEnhance and Image.blend.
    """
    begin, end = tf.cast(degenerate, tf.int64), tf.cast(images, tf.int64)
    factors = tf.reshape(factors, [-1] + [1] * (len(images.shape) - 1))
    levels = tf.bitwise.right_shift(
        begin * ONE + factors * (end - begin) + _SLACK, tf.constant(BITS, tf.int64)
    )
    return tf.cast(tf.clip_by_value(levels, 0, 255), tf.uint8)


def channels(images: tf.Tensor) -> list[tf.Tensor]:
    """Each channel of images uint8 [batch, height, width, channels], as int64 [batch, height, width]."""
    levels = tf.cast(images, tf.int64)
    return [levels[..., i] for i in range(images.shape[-1])]  # GPUs have no kernel to unstack int64


def grey(images: tf.Tensor) -> tf.Tensor:
    """Luminance of ITU-R 601: (19595 R + 38470 G + 7471 B + 2^15) / 2^16, rounded down, as Pillow's mode "L".

    Args:
        images: uint8 [batch, height, width, 3].

    Returns:
        uint8 [batch, height, width, 1].
    """
    red, green, blue = channels(images)
    levels = 19595 * red + 38470 * green + 7471 * blue + 0x8000
    return tf.cast(tf.bitwise.right_shift(levels, tf.constant(16, tf.int64)), tf.uint8)[..., tf.newaxis]


def mean_grey(greys: tf.Tensor) -> tf.Tensor:
    """The mean of each image, rounded to the nearest level.

    Args:
        greys: uint8 [batch, height, width, 1].

    Returns:
        uint8 [batch, 1, 1, 1].
    """
    pixels = greys.shape[1] * greys.shape[2]
    total = tf.reduce_sum(tf.cast(greys, tf.int64), [1, 2, 3], keepdims=True)
    return tf.cast((2 * total + pixels) // (2 * pixels), tf.uint8)


def smoothed(images: tf.Tensor) -> tf.Tensor:
    """The mean over 3x3 pixels, the middle with weight 5 of 13, rounded; the edge as it is: Pillow's SMOOTH.

    Args:
        images: uint8 [batch, height, width, channels].

    Returns:
        uint8, the shape of `images`.
    """
    levels = tf.cast(images, tf.int64)
    height, width = images.shape[1:3]
    if min(height, width) < 3:
        return images
    rows = levels[:, :-2] + levels[:, 1:-1] + levels[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * levels[:, 1:-1, 1:-1]
    inner = tf.cast((2 * total + 13) // 26, tf.uint8)
    middle = tf.concat([images[:, 1:-1, :1], inner, images[:, 1:-1, -1:]], 2)
    return tf.concat([images[:, :1], middle, images[:, -1:]], 1)
