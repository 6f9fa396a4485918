"""Normalisation layers that can be differentiated twice.

`tf.nn.moments`, which Keras' batch, group and layer normalisations call, puts a `tf.stop_gradient` on the
mean inside its variance. First derivatives are unharmed, because the derivative it cuts off is zero; second
derivatives are not: the variance's Hessian `2/n (I - 1 1^T / n)` becomes `2/n I`. Hessian-vector products of
a network with BatchNorm are then wrong by as much as their own size, without any warning.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence

import tensorflow as tf

FIXED_MEAN = "fixed_mean"
"""Name of the operation that holds the mean fixed; what follows makes up for it."""

_lock = threading.Lock()
_entered = 0
_original = tf.nn.moments


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


@contextlib.contextmanager
def exact_second_derivatives() -> Iterator[None]:
    """Within it, Keras' normalisation layers are run or traced with `moments` for `tf.nn.moments`.

    Enter it around the forward pass of whatever is differentiated twice, by nested tapes or by forward over
    reverse. Values and gradients stay what they were. It
    may be nested and entered from several threads; the replacement lasts until the last one leaves.
    """
    global _entered
    with _lock:
        _entered += 1
        tf.nn.moments = moments
    try:
        yield
    finally:
        with _lock:
            _entered -= 1
            if _entered == 0:
                tf.nn.moments = _original
