"""Vector operations on lists of tensors: gradients, parameters and directions seen as one vector.

A *tree* here is a sequence of dense tensors in the order of the model's trainable variables. Every
function is pure and works in eager code, in graphs and under XLA. Leaves may differ in dtype (layers have
their own): what joins them into one number or vector is of the widest dtype, float32 at least.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

Tree = list[tf.Tensor]


def scalar(value: tf.Tensor | float, dtype: tf.DType | str) -> tf.Tensor:
    """A number as a tensor; `tf.cast` would round a Python float to float32 on its way to float64."""
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)


def widest(x: Sequence[tf.Tensor]) -> tf.DType:
    """The leaves' dtype; where they differ, float64 if that is among them, else float32."""
    dtypes = {a.dtype for a in x}
    if len(dtypes) == 1:
        return dtypes.pop()
    return tf.float64 if tf.float64 in dtypes else tf.float32


def in_turn(computations: Sequence[Callable[[], tf.Tensor]]) -> Tree:
    """The results of small computations, made one after the other.

    What may run side by side is handed to other threads, which costs a small network more than it gains.

    Args:
        computations: Each makes a tensor.
    """
    results: Tree = []
    for computation in computations:
        with tf.control_dependencies(results[-1:]):
            results.append(computation())
    return results


def subtract(x: Sequence[tf.Tensor], y: Sequence[tf.Tensor]) -> Tree:
    """`x - y`, leaf by leaf."""
    return [a - b for a, b in zip(x, y, strict=True)]


def scale(factor: tf.Tensor | float, x: Sequence[tf.Tensor]) -> Tree:
    """`factor * x` with a scalar factor cast to each leaf's dtype."""
    return [scalar(factor, a.dtype) * a for a in x]


def add_scaled(x: Sequence[tf.Tensor], factor: tf.Tensor | float, y: Sequence[tf.Tensor]) -> Tree:
    """`x + factor * y` with a scalar factor cast to each leaf's dtype."""
    return [a + scalar(factor, b.dtype) * b for a, b in zip(x, y, strict=True)]


def dot(x: Sequence[tf.Tensor], y: Sequence[tf.Tensor]) -> tf.Tensor:
    """Inner product of the two vectors, a scalar of dtype `widest(x)`."""
    dtype = widest(x)
    return tf.add_n([tf.reduce_sum(tf.cast(a, dtype) * tf.cast(b, dtype)) for a, b in zip(x, y, strict=True)])


def squared_norm(x: Sequence[tf.Tensor]) -> tf.Tensor:
    """`|x|_2^2`; its derivative at zero is zero, so it is safe to differentiate anywhere."""
    dtype = widest(x)
    return tf.add_n([tf.reduce_sum(tf.square(tf.cast(a, dtype))) for a in x])


def global_norm(x: Sequence[tf.Tensor]) -> tf.Tensor:
    """`|x|_2` over all leaves; not for differentiation (undefined at zero), see `squared_norm`."""
    return tf.sqrt(squared_norm(x))


def max_norm(x: Sequence[tf.Tensor]) -> tf.Tensor:
    """`|x|_inf`, the largest magnitude over all leaves; 0 where every leaf is empty."""
    largest = [tf.cast(tf.reduce_max(tf.abs(a)), widest(x)) for a in x if a.shape.num_elements() != 0]
    return tf.reduce_max(tf.stack(largest)) if largest else tf.zeros([])


def flatten(x: Sequence[tf.Tensor]) -> tf.Tensor:
    """All leaves as one vector `[total]` of dtype `widest(x)`."""
    dtype = widest(x)
    return tf.concat([tf.reshape(tf.cast(a, dtype), [-1]) for a in x], axis=0)


def unflatten(vector: tf.Tensor, like: Sequence[tf.Tensor | tf.Variable]) -> Tree:
    """The inverse of `flatten`: cuts `[total]` into leaves of the shapes of `like`, in the vector's dtype.

    Args:
        vector: `[total]`, the concatenated leaves.
        like: Tensors or variables of fully known shape that give the leaves' shapes and order.
    """
    sizes = [a.shape.num_elements() for a in like]
    return [tf.reshape(part, a.shape) for part, a in zip(tf.split(vector, sizes), like, strict=True)]


def leaves_like(vector: tf.Tensor, like: Sequence[tf.Tensor | tf.Variable]) -> Tree:
    """`unflatten`, in the dtypes of `like`."""
    return [tf.cast(leaf, a.dtype) for leaf, a in zip(unflatten(vector, like), like, strict=True)]
