"""Sums over the samples of a step, one set a replica, reduced over the replicas in one vector."""

from collections.abc import Sequence

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.trees import Tree


class Sums:
    """Running sums of tensors and of a count, kept on each replica in variables of its own.

    Adding goes straight into the variables, one micro-batch after the other, so the order of the additions
    (and with it every bit of the sums) does not depend on how micro-batches are grouped into chunks. The
    variables belong to no Keras model: they are scratch space, not state.

    Args:
        like: Tensors or variables whose shapes the sums take.
        dtype: float32 or float64.
        strategy: The strategy on whose replicas the sums live.
    """

    def __init__(self, like: Sequence[tf.Tensor], dtype: str, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        with strategy.scope():
            self._variables = [_scratch(a.shape, dtype) for a in like]
            self._count = _scratch([], dtype)

    def clear(self) -> None:
        """Sets every sum to zero; replica context."""
        for variable in [*self._variables, self._count]:
            variable.assign(tf.zeros_like(variable))

    def add(self, weight: tf.Tensor, values: Sequence[tf.Tensor]) -> None:
        """Adds `weight * values` and counts `weight`; replica context."""
        weight = tf.cast(weight, self._count.dtype)
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign_add(weight * tf.cast(value, variable.dtype))
        self._count.assign_add(weight)

    def reduced(self, stopping: tf.Tensor) -> tuple[Tree, tf.Tensor, tf.Tensor]:
        """(sums, count, stopping) over all replicas, by one all-reduce; cross-replica context.

        Args:
            stopping: Scalar, 1 where this worker was asked to stop, else 0. It travels with the sums, so that all
                workers learn of it in the same step.
        """
        like = [*self._variables, self._count, stopping]
        dtype = self._count.dtype
        vectors = self._strategy.run(lambda: trees.flatten([tf.cast(v, dtype) for v in like]))
        vector = self._strategy.reduce(tf.distribute.ReduceOp.SUM, vectors, axis=None)
        *sums, count, stops = trees.unflatten(vector, like)
        return sums, count, stops


def _scratch(shape: Sequence[int], dtype: str) -> tf.Variable:
    return tf.Variable(
        tf.zeros(shape, dtype),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )
