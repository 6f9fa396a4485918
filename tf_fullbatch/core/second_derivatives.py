"""Normalisation layers, and cross-entropies of integer labels, that can be differentiated twice.

`tf.nn.moments`, which Keras' batch, group and layer normalisations call, puts a `tf.stop_gradient` on the
mean inside its variance. First derivatives are unharmed, because the derivative it cuts off is zero; second
derivatives are not: the variance's Hessian `2/n (I - 1 1^T / n)` becomes `2/n I`. Hessian-vector products of
a network with BatchNorm are then wrong by as much as their own size, without any warning.

The second derivative of `tf.nn.sparse_softmax_cross_entropy_with_logits` is right, but takes a matrix product per
sample: in a small network as long as all the rest of a Hessian-vector product.
"""

import contextlib
import math
from collections.abc import Sequence

import tensorflow as tf

from tf_fullbatch.core.replacement import Replacement

FIXED_MEAN = "fixed_mean"
"""Name of the operation that holds the mean fixed; what follows makes up for it."""


def moments(
    x: tf.Tensor,
    axes: Sequence[int],
    shift: tf.Tensor | None = None,
    keepdims: bool = False,
    name: str | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and biased variance over `axes`, right in derivatives of every order.

    `mean = sum(x) / n`, `variance = sum((x - mean)^2) / n`.

    Args:
        x: A float tensor.
        axes: Axes to reduce.
        shift: Unused, as in `tf.nn.moments`.
        keepdims: Keep the reduced axes at size 1.
        name: Name of the scope.

    Returns:
        Mean and variance, the values of `tf.nn.moments` (which see).
    """
    del shift
    with tf.name_scope(name or "moments"):
        mean = tf.reduce_mean(x, axes, keepdims=True)
        fixed = tf.stop_gradient(mean, name=FIXED_MEAN)
        squares = tf.reduce_mean(tf.math.squared_difference(x, fixed), axes, keepdims=True)
        # mean - fixed is zero in value; its derivative is what second derivatives need.
        variance = squares - tf.square(mean - fixed)
        return (mean, variance) if keepdims else (tf.squeeze(mean, axes), tf.squeeze(variance, axes))


def sparse_cross_entropy(labels: tf.Tensor, logits: tf.Tensor, name: str | None = None) -> tf.Tensor:
    """`-log softmax(z)_y` of each sample, by operations whose derivatives of every order are elementwise.

    Args:
        labels: `[...]`, integers, 0 to C - 1.
        logits: `[..., C]`, z.
        name: Name of the scope.

    Returns:
        `[...]`, to rounding that of `tf.nn.sparse_softmax_cross_entropy_with_logits`; NaN where a label is none of the
        classes.
    """
    with tf.name_scope(name or "cross_entropy"):
        classes = logits.shape[-1] or tf.shape(logits)[-1]
        is_label = tf.range(classes) == tf.cast(labels, tf.int32)[..., tf.newaxis]
        log_p = tf.nn.log_softmax(logits)
        # Selected, not multiplied: log p of another class may be -inf.
        of_label = tf.reduce_sum(tf.where(is_label, log_p, tf.zeros_like(log_p)), axis=-1)
        is_class = tf.reduce_any(is_label, axis=-1)
        return -tf.where(is_class, of_label, tf.constant(math.nan, log_p.dtype))


_MOMENTS = Replacement(tf.nn, "moments", moments)
_CROSS_ENTROPY = Replacement(tf.nn, "sparse_softmax_cross_entropy_with_logits", sparse_cross_entropy)


def exact_second_derivatives() -> contextlib.AbstractContextManager[None]:
    """Within it, Keras' normalisation layers are run or traced with `moments` for `tf.nn.moments`.

    Enter it around the forward pass of whatever is differentiated twice, by nested tapes or by forward over
    reverse. Values and gradients stay what they were. It may be nested and entered from several threads; the
    replacement lasts until the last one leaves.
    """
    return _MOMENTS.made()


def elementwise_cross_entropies() -> contextlib.AbstractContextManager[None]:
    """Within it, cross-entropies of integer labels are run or traced with `sparse_cross_entropy`.

    Enter it around a loss whose second derivatives alone are wanted: value and gradient differ by rounding.
    """
    return _CROSS_ENTROPY.made()
