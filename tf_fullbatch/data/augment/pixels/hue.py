"""Hues turned around their circle, in whole numbers."""

import tensorflow as tf

from tf_fullbatch.data.augment.pixels.blend import channels

_BITS = 16
_SIXTH = 1 << _BITS  # a sixth of the circle, from one pure or mixed colour to the next
_CIRCLE = 6 * _SIXTH


def fixed(part: float) -> int:
    """A part of the circle, 0 to 1, in units of 2^-16 of a sixth."""
    return round(part * _CIRCLE)


def turned(images: tf.Tensor, turns: tf.Tensor) -> tf.Tensor:
    """Images of other hues, at the same value and saturation.

    With M and m a pixel's largest and smallest level, C = M - m and h its hue in sixths of the circle, a channel of
    offset n (5, 3, 1 of red, green, blue) becomes M - C max(0, min(k, 4 - k, 1)), k = (n + h) mod 6, rounded. Pillow,
    as torchvision uses it, rounds hue and saturation to 8 bits on the way, and so turns by up to 1.5 degrees otherwise.

    Args:
        images: uint8 [batch, height, width, 3].
        turns: int64 [batch], how far, see `fixed`.

    Returns:
        uint8, the shape of `images`.

    Source: Smith, "Color gamut transform pairs", SIGGRAPH 1978.
    """
    red, green, blue = channels(images)
    most = tf.maximum(tf.maximum(red, green), blue)
    chroma = most - tf.minimum(tf.minimum(red, green), blue)
    difference, begin = _sector(red, green, blue, most)
    hue = begin + difference * _SIXTH // tf.maximum(chroma, 1) + turns[:, tf.newaxis, tf.newaxis]
    found = []
    for n in (5, 3, 1):
        k = (hue + n * _SIXTH) % _CIRCLE
        share = tf.clip_by_value(tf.minimum(k, 4 * _SIXTH - k), 0, _SIXTH)
        found.append(
            most - tf.bitwise.right_shift(chroma * share + _SIXTH // 2, tf.constant(_BITS, tf.int64))
        )
    return tf.cast(tf.stack(found, -1), tf.uint8)


def _sector(
    red: tf.Tensor, green: tf.Tensor, blue: tf.Tensor, most: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """(which difference over the chroma the hue is beyond a pure colour, that colour's place on the circle)."""
    is_red, is_green = most == red, most == green
    difference = tf.where(is_red, green - blue, tf.where(is_green, blue - red, red - green))
    begin = tf.where(is_red, 0, tf.where(is_green, 2 * _SIXTH, 4 * _SIXTH))
    return difference, tf.cast(begin, tf.int64)
