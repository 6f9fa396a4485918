"""Centralisation: kernels whose mean over the inputs of each output is 0."""

from collections.abc import Sequence

import tensorflow as tf

from tf_fullbatch.core.transforms.base import Figures, StepStart, Transform
from tf_fullbatch.core.trees import Tree


def centralization(outputs: Sequence[tuple[int, ...]]) -> Transform:
    """Subtracts the mean over all axes but those of the outputs: `g - mean_inputs(g)`.

    It is a projection: it changes nothing where it has been before.

    Args:
        outputs: Of each leaf the axes of its outputs, such as `(3,)` of an HWIO kernel; `()` leaves it as it is.

    Source: Yong et al. 2020 (arXiv 2004.01461), equation 1, for variables of two axes and more.
    """

    def transform(tree: Tree, start: StepStart) -> tuple[Tree, Figures]:
        del start
        return [_centralized(leaf, axes) for leaf, axes in zip(tree, outputs, strict=True)], {}

    return transform


def _centralized(leaf: tf.Tensor, outputs: tuple[int, ...]) -> tf.Tensor:
    if not outputs:
        return leaf
    inputs = [axis for axis in range(len(leaf.shape)) if axis not in outputs]
    return leaf - tf.reduce_mean(leaf, axis=inputs, keepdims=True)
