"""Images brought to one size, by TensorFlow's antialiased bilinear resize (a triangle kernel as wide as the step)."""

import math

import tensorflow as tf

_TRIES = 10
CROP_DRAWS = 4 * _TRIES
"""Random numbers that a random crop takes."""
_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)


def resize_square(pixels: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    """The central square of the shorter side, resized bilinearly with antialiasing and rounded, uint8.

    Args:
        pixels: uint8 `[height, width, channels]`.
        size: Height and width of the result.
    """
    shape = tf.shape(pixels)
    side = tf.minimum(shape[0], shape[1])
    return _resized(tf.image.resize_with_crop_or_pad(pixels, side, side), size, size)


def resize_and_crop(pixels: tf.Tensor, size: int | tf.Tensor, shorter_side: int | tf.Tensor) -> tf.Tensor:
    """The whole image, its shorter side resized to `shorter_side`, and its centre cut out: uint8.

    As images of ImageNet are evaluated on (256 and 224; He et al. 2016, section 3.4): the longer side is
    `floor(shorter_side * longer / shorter)`, the square begins at `floor((side - size) / 2)`.

    Args:
        pixels: uint8 `[height, width, channels]`.
        size: Height and width of the result, at most `shorter_side`.
        shorter_side: In pixels.
    """
    shape = tf.shape(pixels)[:2]
    sides = shorter_side * shape // tf.reduce_min(shape)
    resized = _resized(pixels, sides[0], sides[1])
    row, column = (sides[0] - size) // 2, (sides[1] - size) // 2
    return resized[row : row + size, column : column + size]


def random_resized_crop(pixels: tf.Tensor, size: int | tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """A random rectangle of the image, resized to a square: uint8.

    Of area a of the image's, uniform in [0.08, 1], and of ratio width / height r, log r uniform in [log 3/4, log 4/3]:
    width `round(sqrt(a r))`, height `round(sqrt(a / r))`, at a uniform place; the first of ten that fits into the
    image, else its centre, cut to a ratio of 3/4 or 4/3 where it is beyond.

    Args:
        pixels: uint8 `[height, width, channels]`.
        size: Height and width of the result.
        draws: uint32 `[40]`, uniform; four for each try.

    Source: Szegedy et al. 2015, "Going deeper with convolutions", section 6, in the form of torchvision's
    RandomResizedCrop (ten tries, log-uniform ratios).
    """
    shape = tf.shape(pixels)[:2]
    row, column, height, width = crop_window(shape, draws)
    return _resized(pixels[row : row + height, column : column + width], size, size)


def crop_window(shape: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """(row, column, height, width) of the rectangle of `random_resized_crop`, int32.

    Args:
        shape: int32 `[2]`, height and width of the image.
        draws: As there.
    """
    uniforms = (tf.cast(tf.reshape(draws, [_TRIES, 4]), tf.float64) + 0.5) / 2.0**32
    area_share, ratio_place, row_place, column_place = tf.unstack(uniforms, axis=1)
    whole = tf.cast(shape, tf.float64)
    area = whole[0] * whole[1] * (_AREA[0] + (_AREA[1] - _AREA[0]) * area_share)
    low, high = (math.log(ratio) for ratio in _RATIO)
    ratio = tf.exp(low + (high - low) * ratio_place)
    widths, heights = tf.round(tf.sqrt(area * ratio)), tf.round(tf.sqrt(area / ratio))
    fits = (widths > 0) & (heights > 0) & (widths <= whole[1]) & (heights <= whole[0])
    rows = tf.floor(row_place * (whole[0] - heights + 1))
    columns = tf.floor(column_place * (whole[1] - widths + 1))
    tries = tf.stack([rows, columns, heights, widths], axis=1)
    width = tf.minimum(whole[1], tf.round(whole[0] * _RATIO[1]))
    height = tf.minimum(whole[0], tf.round(whole[1] / _RATIO[0]))
    centre = tf.stack([(whole[0] - height) // 2, (whole[1] - width) // 2, height, width])
    first = tf.argmax(tf.cast(fits, tf.int32))
    chosen = tf.where(tf.reduce_any(fits), tries[first], centre)
    row, column, height, width = tf.unstack(tf.cast(chosen, tf.int32), 4)
    return row, column, height, width


def decoded(encoded: tf.Tensor) -> tf.Tensor:
    """uint8 `[height, width, 3]` of a PNG, JPEG, BMP or GIF (its first frame)."""
    return tf.ensure_shape(tf.io.decode_image(encoded, channels=3, expand_animations=False), [None, None, 3])


def _resized(pixels: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    resized = tf.image.resize(pixels, [height, width], method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
