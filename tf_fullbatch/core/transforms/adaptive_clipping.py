"""Adaptive clipping: no unit's gradient is longer than a share of the unit's weights."""

from collections.abc import Sequence

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.transforms.base import Figures, StepStart, Transform
from tf_fullbatch.core.trees import Tree

_SMALLEST_WEIGHTS, _SMALLEST_GRADIENT = 1e-3, 1e-6


def adaptive_clipping(
    threshold: float, outputs: Sequence[tuple[int, ...]], included: Sequence[bool]
) -> Transform:
    """Clips unit by unit: `G_i * min(1, threshold max(|W_i|, 1e-3) / max(|G_i|, 1e-6))`.

    A unit is what makes one output: a column of a dense kernel, `[:, :, :, i]` of an HWIO kernel. Norms are Euclidean.

    Args:
        threshold: Largest ratio of the norms, positive; 0.01 in the paper.
        outputs: Of each leaf the axes of its outputs; of `()` the leaf as a whole is one unit.
        included: Whether each leaf is clipped.

    Raises:
        ValueError: If the threshold is not positive.

    Source: Brock et al. 2021 (arXiv 2102.06171), equation 3; the smallest norms are those of their code.
    """
    if not threshold > 0:
        raise ValueError(f"threshold is {threshold}; it must be positive.")

    def transform(tree: Tree, start: StepStart) -> tuple[Tree, Figures]:
        leaves = zip(tree, start.weights, outputs, included, strict=True)
        return [_clipped(g, w, axes, threshold) if clips else g for g, w, axes, clips in leaves], {}

    return transform


def _clipped(
    gradient: tf.Tensor, weights: tf.Tensor, outputs: tuple[int, ...], threshold: float
) -> tf.Tensor:
    dtype = gradient.dtype
    inputs = [axis for axis in range(len(gradient.shape)) if axis not in outputs]
    of_weights = tf.maximum(_norm(tf.cast(weights, dtype), inputs), trees.scalar(_SMALLEST_WEIGHTS, dtype))
    of_gradient = tf.maximum(_norm(gradient, inputs), trees.scalar(_SMALLEST_GRADIENT, dtype))
    factor = trees.scalar(threshold, dtype) * of_weights / of_gradient
    # A selection, not a factor of 1: a product would flush denormal numbers to zero.
    return tf.where(factor < 1, factor * gradient, gradient)


def _norm(leaf: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(leaf), axis=axes, keepdims=True))
