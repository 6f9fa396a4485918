"""Elementary operations on images at given strengths, one of a table's for each image of a batch.

A policy names the moves that it may make; what it draws for an image is the row of one. All rows are applied at
once: one gather by the rows' matrices, one by their tables of levels, one blend. So the cost does not depend on what
is drawn, nothing loops over images, and XLA compiles it.

| name | strength |
|---|---|
| identity, autocontrast, equalize, invert | none |
| shear_x, shear_y | entry of the matrix |
| translate_x, translate_y | pixels |
| rotate | degrees, counterclockwise |
| brightness, contrast, color, sharpness | factor f of Pillow's ImageEnhance; 1 changes nothing |
| posterize | bits that are kept |
| solarize | level from which on levels are inverted |
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_fullbatch.data.augment.pixels import affine, blend, levels


class Move(NamedTuple):
    """An operation and its strength; see the module."""

    name: str
    strength: float = 0.0


_GEOMETRY: dict[str, Callable[[float, int, int], affine.Matrix]] = {
    "shear_x": lambda strength, *_: affine.shear(strength, 0),
    "shear_y": lambda strength, *_: affine.shear(0, strength),
    "translate_x": lambda strength, *_: affine.move(strength, 0),
    "translate_y": lambda strength, *_: affine.move(0, strength),
    "rotate": affine.rotation,
}
_LEVELS: dict[str, Callable[[float], np.ndarray]] = {
    "invert": lambda _: levels.inverted(),
    "posterize": lambda bits: levels.posterized(int(bits)),
    "solarize": levels.solarized,
}
_OF_THE_IMAGE = ("autocontrast", "equalize")
_BLENDED = ("brightness", "contrast", "color", "sharpness")
NAMES = ("identity", *_GEOMETRY, *_LEVELS, *_OF_THE_IMAGE, *_BLENDED)
"""The operations there are."""


class MoveTable:
    """Moves by their rows.

    Args:
        moves: The moves, in the order of rows.
        height: Of the images, in pixels.
        width: Of the images, in pixels.
    """

    def __init__(self, moves: Sequence[Move], height: int, width: int):
        self._kinds = np.array([NAMES.index(move.name) for move in moves])
        self._names = {move.name for move in moves}
        self._matrices = np.stack(
            [
                affine.fixed(
                    _GEOMETRY[name](strength, height, width) if name in _GEOMETRY else affine.IDENTITY
                )
                for name, strength in moves
            ]
        )
        self._tables = np.stack(
            [_LEVELS[name](strength) if name in _LEVELS else levels.LEVELS for name, strength in moves]
        )
        self._factors = np.array(
            [blend.fixed(strength) if name in _BLENDED else blend.ONE for name, strength in moves]
        )

    def apply(self, images: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Every image by its own move.

        Args:
            images: uint8 [batch, height, width, channels], static but for the batch.
            rows: int64 [batch], rows of the table.

        Returns:
            uint8, the shape of `images`.
        """
        kinds = tf.gather(tf.constant(self._kinds), rows)
        if self._names & set(_GEOMETRY):
            images = affine.transformed(images, tf.gather(tf.constant(self._matrices), rows))
        if self._names & {*_LEVELS, *_OF_THE_IMAGE}:
            images = levels.replaced(images, self._level_tables(images, rows, kinds))
        if self._names & set(_BLENDED):
            factors = tf.gather(tf.constant(self._factors), rows)
            images = blend.blended(self._degenerate(images, kinds), images, factors)
        return images

    def _level_tables(self, images: tf.Tensor, rows: tf.Tensor, kinds: tf.Tensor) -> tf.Tensor:
        tables = tf.gather(tf.constant(self._tables, tf.int64), rows)[:, tf.newaxis, :]
        for name, of_images in (("autocontrast", levels.autocontrast), ("equalize", levels.equalizing)):
            if name in self._names:
                chosen = _is(kinds, name)[:, tf.newaxis, tf.newaxis]
                tables = tf.where(chosen, of_images(images), tables)
        return tables

    def _degenerate(self, images: tf.Tensor, kinds: tf.Tensor) -> tf.Tensor:
        """What each image is blended with: black, its mean grey, its greys, or itself smoothed."""
        found = tf.constant(0, tf.uint8, [1, 1, 1, 1])
        if self._names & {"contrast", "color"}:
            grey = blend.grey(images)
            found = tf.where(_at_pixels(kinds, "color"), grey, found)
            found = tf.where(_at_pixels(kinds, "contrast"), blend.mean_grey(grey), found)
        if "sharpness" in self._names:
            found = tf.where(_at_pixels(kinds, "sharpness"), blend.smoothed(images), found)
        return found


def _is(kinds: tf.Tensor, name: str) -> tf.Tensor:
    return kinds == NAMES.index(name)


def _at_pixels(kinds: tf.Tensor, name: str) -> tf.Tensor:
    return _is(kinds, name)[:, tf.newaxis, tf.newaxis, tf.newaxis]
