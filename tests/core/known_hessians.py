"""Losses whose Hessians are known or written out, in float64."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_fullbatch.core import trees


class Quadratic:
    """`L = theta^T H theta / 2 + b^T theta` over two leaves: `grad L = H theta + b`, Hessian H."""

    def __init__(self) -> None:
        generator = np.random.default_rng(3)
        root = generator.normal(size=(5, 5))
        self.hessian = root + root.T
        self.b = generator.normal(size=5)
        point = generator.normal(size=5)
        self.theta = [tf.constant(point[:3].reshape(3, 1)), tf.constant(point[3:])]
        self.gradient = self.hessian @ point + self.b

    def loss(self, theta: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tuple]:
        vector = trees.flatten(theta)
        return tf.tensordot(vector, tf.linalg.matvec(self.hessian, vector) / 2 + self.b, 1), (vector,)


class SoftplusNet:
    """Mean cross-entropy of a network with one softplus layer, as a function of its four leaves."""

    def __init__(self) -> None:
        generator = np.random.default_rng(4)
        self.x = tf.constant(generator.normal(size=(9, 3)))
        self.y = tf.constant(generator.integers(0, 2, 9))
        shapes = ((3, 4), (4,), (4, 2), (2,))
        self.theta = [tf.constant(generator.normal(size=shape)) for shape in shapes]

    def loss(self, theta: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tuple]:
        w, b, u, c = theta
        logits = tf.math.softplus(self.x @ w + b) @ u + c
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(self.y, logits)), (logits,)

    def hessian(self) -> np.ndarray:
        """The explicit matrix, column by column."""
        flat = trees.flatten(self.theta)
        with tf.GradientTape() as outer:
            outer.watch(flat)
            with tf.GradientTape() as inner:
                inner.watch(flat)
                loss, _ = self.loss(trees.unflatten(flat, self.theta))
            gradient = inner.gradient(loss, flat)
        return outer.jacobian(gradient, flat).numpy()
