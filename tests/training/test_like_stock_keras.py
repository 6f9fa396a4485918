"""One update of the whole set equals one of stock Keras, whatever the layers do when they are called."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.training.full_batch_model import FullBatchModel

K = keras.layers
SAMPLES, FEATURES = 12, 4
_GENERATOR = np.random.default_rng(8)
X = _GENERATOR.normal(size=(SAMPLES, FEATURES)).astype("float32")
Y = _GENERATOR.normal(size=(SAMPLES, 1)).astype("float32")


class Called(K.Layer):
    """A dense layer, called through a wrapper."""

    def __init__(self, wrapper: Callable):
        super().__init__()
        self.dense = K.Dense(FEATURES, activation="tanh")
        self.wrapped = wrapper(lambda x: self.dense.call(x))

    def build(self, shape: Any) -> None:
        self.dense.build(shape)
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.wrapped(x)


class Quantised(K.Layer):
    """Counts its calls, and keeps the weights it is called with within [-0.3, 0.3]."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], FEATURES))
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            self.kernel.assign(keras.ops.clip(self.kernel, -0.3, 0.3))
            self.calls.assign_add(1.0)
        return x @ self.kernel


class BothWays(K.Layer):
    """Batch normalisation by the batch and by the moving statistics, which it also reads.

    Args:
        share: What the latter is multiplied with; None for batch normalisation alone.
    """

    def __init__(self, share: float | None = 1.0):
        super().__init__()
        self.share = share

    def build(self, shape: Any) -> None:
        self.norm = K.BatchNormalization(momentum=0.5)
        self.norm.build(shape)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if self.share is None:
            return self.norm(x, training=training)
        teacher = self.share * self.norm(x, training=False)
        return self.norm(x, training=training) + teacher * (1 + self.norm.moving_variance)


class Doubling(keras.optimizers.SGD):
    """Doubles gradients where Keras' `fit` hands them over."""

    def apply_gradients(self, grads_and_vars: Any) -> Any:
        return super().apply_gradients([(2 * g, v) for g, v in grads_and_vars])


class LikeStockKerasTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        (lambda: [K.Dense(3, activation="tanh", kernel_regularizer="l2"), K.BatchNormalization()],),
        (lambda: [K.BatchNormalization(renorm=True)],),
        (lambda: [Called(keras.remat)],),
        (lambda: [Called(tf.recompute_grad)],),
        (lambda: [Called(tf.function)],),
        (lambda: [K.SpectralNormalization(K.Dense(5))],),
        (lambda: [Quantised()],),
        (lambda: [K.Dense(3, dtype="float64"), K.Dense(3)],),
        (lambda: [K.Reshape((2, 2)), K.LSTM(3)],),
        (lambda: [K.Dense(3), BothWays()],),
        (lambda: [K.Dense(3)], lambda y, p: tf.reduce_mean(tf.square(y - p))),
        (lambda: [K.Dense(3, activation="sigmoid")], keras.losses.Dice()),
        (lambda: [K.Dense(3)], "mse", Doubling),
        (lambda: [K.Dense(3)], lambda y, p: tf.square(y - p), keras.optimizers.SGD, ()),
        (lambda: [K.Dense(3)], lambda y, p: tf.square(y - p), keras.optimizers.SGD, (1, 1)),
    )
    def test_one_update(
        self,
        layers: Callable,
        loss: Any = "mse",
        optimizer: Callable = keras.optimizers.SGD,
        outputs: tuple[int, ...] = (1,),
    ) -> None:
        networks = []
        for _ in range(2):
            keras.utils.set_random_seed(4)
            networks.append(
                keras.Sequential([keras.Input((FEATURES,)), *layers(), K.Dense(1), K.Reshape(outputs)])
            )
        stock, ours = networks
        ours.set_weights(stock.get_weights())
        before = [w.numpy() for w in stock.trainable_variables]
        stock.compile(optimizer(0.3), loss, jit_compile=False)
        stock.fit(X, Y, batch_size=SAMPLES, shuffle=False, verbose=0)
        model = FullBatchModel(ours, micro_batch_size=SAMPLES)
        model.compile(optimizer(0.3), loss)
        model.fit(X, Y, verbose=0)
        self.assertNotAllClose(before[-1], stock.trainable_variables[-1], rtol=1e-2, atol=1e-2)
        for found, expected in zip(ours.get_weights(), stock.get_weights(), strict=True):
            self.assertAllClose(found, expected, rtol=1e-5, atol=1e-6)

    def test_statistics_that_are_read_become_those_that_are_not(self) -> None:
        """In steps of several micro-batches: as if each of them had moved the statistics, see `NetworkState`."""
        found = []
        for share in (None, 0.0):
            keras.utils.set_random_seed(4)
            layer = BothWays(share)
            network = keras.Sequential([keras.Input((FEATURES,)), layer, K.Dense(1)])
            model = FullBatchModel(network, micro_batch_size=5)
            model.compile(keras.optimizers.SGD(0.3), "mse")
            model.fit(X, Y, epochs=2, verbose=0)
            found.append([layer.norm.moving_mean.numpy(), layer.norm.moving_variance.numpy()])
        for not_read, read in zip(*found, strict=True):
            self.assertAllClose(read, not_read, rtol=1e-5, atol=1e-6)

    def test_assigned_weights_do_not_depend_on_the_cut_into_micro_batches(self) -> None:
        results = []
        for size in (SAMPLES, 5):
            keras.utils.set_random_seed(4)
            network = keras.Sequential(
                [keras.Input((FEATURES,)), K.SpectralNormalization(K.Dense(5)), K.Dense(1)]
            )
            model = FullBatchModel(network, micro_batch_size=size)
            model.compile(keras.optimizers.SGD(0.3), "mse")
            model.fit(X, Y, epochs=2, verbose=0)
            results.append(network.get_weights())
        for found, expected in zip(*results, strict=True):
            self.assertAllClose(found, expected, rtol=1e-5, atol=1e-6)


if __name__ == "__main__":
    tf.test.main()
