"""The ratio of a layer's weight norm to the norm of its update, by which layer-wise adaptive methods scale."""

import tensorflow as tf

from tf_fullbatch.core import trees


def is_scaled(variable: tf.Tensor) -> bool:
    """Whether layer-wise methods scale a variable's update: not biases, and scales and offsets of normalisation.

    Source: You et al. 2017 (arXiv 1708.03888) give no rule; the implementations of LARS and LAMB by their authors skip
    variables of less than two axes.
    """
    return len(variable.shape) > 1


def trust_ratio(
    weight: tf.Tensor, of: tf.Tensor, coefficient: float = 1.0, added: tf.Tensor | float = 0.0
) -> tf.Tensor:
    """`coefficient |w| / (|u| + added)`, a scalar; 1 where |w| or |u| is 0.

    Args:
        weight: w, a variable's values.
        of: u, of its shape.
        coefficient: The factor.
        added: Scalar, added to the denominator.
    """
    w, u = tf.norm(weight), tf.norm(of)
    ratio = trees.scalar(coefficient, w.dtype) * w / (u + trees.scalar(added, w.dtype))
    return tf.where((w > 0) & (u > 0), ratio, tf.ones_like(ratio))
