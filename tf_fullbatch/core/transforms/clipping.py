"""Clipping by the norm of all entries, of a gradient or of an update."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.names import CLIP_NORM_TYPES
from tf_fullbatch.core.transforms.base import Figures, StepStart, Transform


class Clipped(NamedTuple):
    """A gradient after clipping.

    Attributes:
        gradient: The clipped gradient, leaf by leaf.
        clipped: Boolean scalar: whether the gradient was changed.
        factor: Scalar, what the gradient was multiplied by; 1 where it was not changed.
    """

    gradient: trees.Tree
    clipped: tf.Tensor
    factor: tf.Tensor


def clip_by_norm(gradient: Sequence[tf.Tensor], clip_norm: float, norm_type: str = "l2") -> Clipped:
    """Rescales the gradient where its norm exceeds a threshold.

    With n the norm of all leaves seen as one vector: `g * c / (n + 1e-6)` if n > c; otherwise g, bit for bit.

    Args:
        gradient: Finite leaves of one dtype.
        clip_norm: The threshold c, positive.
        norm_type: "l2" or "inf" (the largest magnitude).

    Raises:
        ValueError: If the threshold is not positive or the norm type unknown.

    Source: Pascanu et al. 2013 (arXiv 1211.5063), algorithm 1; the 1e-6 is PyTorch's.
    """
    if norm_type not in CLIP_NORM_TYPES:
        raise ValueError(f"norm_type is {norm_type!r}; accepted are {', '.join(map(repr, CLIP_NORM_TYPES))}.")
    if not clip_norm > 0:
        raise ValueError(f"clip_norm is {clip_norm}; it must be positive.")
    norm = trees.global_norm(gradient) if norm_type == "l2" else trees.max_norm(gradient)
    exceeds = norm > clip_norm
    factor = clip_norm / (norm + 1e-6)
    # A selection, not a factor of 1: a product would flush denormal numbers to zero.
    clipped = [tf.where(exceeds, tf.cast(factor, g.dtype) * g, g) for g in gradient]
    return Clipped(clipped, exceeds, tf.where(exceeds, factor, tf.ones_like(factor)))


def clipping(clip_norm: float, norm_type: str = "l2") -> Transform:
    """`clip_by_norm` as a transform, with the figures `clipped` and `clip_factor`, 1 where nothing is changed."""

    def transform(gradient: trees.Tree, start: StepStart) -> tuple[trees.Tree, Figures]:
        del start
        found = clip_by_norm(gradient, clip_norm, norm_type)
        return found.gradient, {"clipped": found.clipped, "clip_factor": found.factor}

    return transform
