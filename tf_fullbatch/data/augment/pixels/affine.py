"""Images sheared, moved and rotated, each by its own matrix, in fixed point: Pillow's nearest neighbour to the pixel.

A matrix (a, b, c, d, e, f) says where a pixel of the result comes from: x' = a x + b y + c, y' = d x + e y + f, with
the middles of pixels at halves. What comes from outside of the image is black.
"""

import math

import numpy as np
import tensorflow as tf

from tf_fullbatch.data.augment.pixels.gather import gather_pixels

Matrix = tuple[float, float, float, float, float, float]

IDENTITY: Matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_BITS = 16


def shear(along_x: float, along_y: float) -> Matrix:
    """x' = x + along_x y, y' = y + along_y x, about the upper left corner, as AutoAugment's authors have it."""
    return 1.0, along_x, 0.0, along_y, 1.0, 0.0


def move(columns: float, rows: float) -> Matrix:
    """x' = x + columns, y' = y + rows, in pixels: positive numbers move the picture left and up."""
    return 1.0, 0.0, columns, 0.0, 1.0, rows


def rotation(degrees: float, height: int, width: int) -> Matrix:
    """Counterclockwise by so many degrees about the middle of the image, as Pillow's Image.rotate."""
    angle = -math.radians(degrees % 360)
    a, b, d = round(math.cos(angle), 15), round(math.sin(angle), 15), round(-math.sin(angle), 15)
    x, y = width / 2, height / 2
    return a, b, x - a * x - b * y, d, a, y - d * x - a * y


def fixed(matrix: Matrix) -> np.ndarray:
    """A matrix in units of 2^-16, int64 `[6]`, with the half pixel of the middles in its constants."""
    a, b, c, d, e, f = matrix
    numbers = np.array([a, b, c + a * 0.5 + b * 0.5, d, e, f + d * 0.5 + e * 0.5])
    return np.floor(numbers * (1 << _BITS) + 0.5).astype(np.int64)


def transformed(images: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """The pixel (y, x) of an image is that of (floor y', floor x'), or black.

    Args:
        images: uint8 [batch, height, width, channels], static but for the batch.
        matrices: int64 [batch, 6], see `fixed`.

    Returns:
        uint8, the shape of `images`.

    Source: Pillow's Image.transform(AFFINE, NEAREST).
    """
    _, height, width, _ = images.shape
    a, b, c, d, e, f = (matrices[:, i, tf.newaxis, tf.newaxis] for i in range(6))
    x, y = tf.range(width, dtype=tf.int64), tf.range(height, dtype=tf.int64)[:, tf.newaxis]
    bits = tf.constant(_BITS, tf.int64)
    columns = tf.bitwise.right_shift(c + a * x + b * y, bits)
    rows = tf.bitwise.right_shift(f + d * x + e * y, bits)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    found = gather_pixels(
        images, tf.clip_by_value(rows, 0, height - 1), tf.clip_by_value(columns, 0, width - 1)
    )
    return tf.where(inside[..., tf.newaxis], found, tf.constant(0, tf.uint8))
