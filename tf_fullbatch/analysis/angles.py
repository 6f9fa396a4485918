"""Angles between trees, seen as vectors of all parameters."""

import math
from collections.abc import Sequence

import tensorflow as tf


def cosine(x: Sequence[tf.Tensor], y: Sequence[tf.Tensor]) -> float:
    """`x . y / (|x| |y|)`, summed in float64.

    Args:
        x: Tree.
        y: Tree of the same shapes.

    Returns:
        Within [-1, 1]; nan where a norm is 0 or not finite.
    """
    norms = _norm(x), _norm(y)
    if not all(0 < norm < math.inf for norm in norms):
        return math.nan
    dot = sum(float(tf.reduce_sum(_double(a) * _double(b))) for a, b in zip(x, y, strict=True))
    return min(1.0, max(-1.0, dot / norms[0] / norms[1]))


def angle(x: Sequence[tf.Tensor], y: Sequence[tf.Tensor]) -> float:
    """The angle between two trees in degrees, `2 atan2(|a - b|, |a + b|)` of the unit vectors a and b.

    It is exact for small angles too, which the arc cosine is not.

    Args:
        x: Tree.
        y: Tree of the same shapes.

    Returns:
        Within [0, 180]; nan where a norm is 0 or not finite.

    Source: Kahan 2006, "How futile are mindless assessments of roundoff in floating-point computation?", section 12.
    """
    norms = _norm(x), _norm(y)
    if not all(0 < norm < math.inf for norm in norms):
        return math.nan
    units = [(_double(a) / norms[0], _double(b) / norms[1]) for a, b in zip(x, y, strict=True)]
    apart, joined = _norm([a - b for a, b in units]), _norm([a + b for a, b in units])
    return math.degrees(2 * math.atan2(apart, joined))


def _double(leaf: tf.Tensor) -> tf.Tensor:
    return tf.cast(leaf, tf.float64)


def _norm(x: Sequence[tf.Tensor]) -> float:
    return math.sqrt(sum(float(tf.reduce_sum(tf.square(_double(leaf)))) for leaf in x))
