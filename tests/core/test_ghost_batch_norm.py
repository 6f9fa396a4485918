"""Ghost batch normalisation against NumPy, in training, in inference and over the micro-batches of a step."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.core.test_network_state import FEATURES, run_step, samples, sequential
from tests.float64 import Float64Case
from tf_fullbatch.core.ghost_batch_norm import GhostBatchNormalization

EPSILON = 1e-3

# (samples, most of a group, samples of each group)
CUTS = ((6, 3, [3, 3]), (7, 3, [3, 2, 2]), (5, 4, [3, 2]), (9, 4, [3, 3, 3]), (4, 9, [4]), (3, 1, [1, 1, 1]))


def cut(x: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    return np.split(x, np.cumsum(sizes)[:-1])


def normalised(x: np.ndarray, sizes: list[int], gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """The definition: each group by its own mean and biased variance over samples and pixels."""
    axes = tuple(range(x.ndim - 1))
    parts = [(part - part.mean(axes)) / np.sqrt(part.var(axes) + EPSILON) for part in cut(x, sizes)]
    return np.concatenate(parts) * gamma + beta


def statistics(x: np.ndarray, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Means over the samples of their groups' means and variances."""
    parts, share, axes = cut(x, sizes), np.array(sizes) / sum(sizes), tuple(range(x.ndim - 1))
    return share @ [part.mean(axes) for part in parts], share @ [part.var(axes) for part in parts]


class GhostBatchNormTest(Float64Case):
    def layer(self, most: int, channels: int = 4, **arguments) -> GhostBatchNormalization:
        random = np.random.default_rng(1)
        layer = GhostBatchNormalization(most, epsilon=EPSILON, **arguments)
        layer.build((None, 2, 3, channels))
        layer.gamma.assign(random.normal(size=channels))
        layer.beta.assign(random.normal(size=channels))
        return layer

    @parameterized.parameters(*CUTS)
    def test_groups_are_normalised_apart(self, rows: int, most: int, sizes: list[int]) -> None:
        layer = self.layer(most, momentum=0.75)
        x = np.random.default_rng(0).normal(3.0, 2.0, (rows, 2, 3, 4))
        expected = normalised(x, sizes, layer.gamma.numpy(), layer.beta.numpy())
        self.assertAllClose(layer(x, training=True), expected, rtol=1e-12, atol=1e-12)
        mean, variance = statistics(x, sizes)
        self.assertAllClose(layer.moving_mean, 0.25 * mean, rtol=1e-12, atol=1e-12)
        self.assertAllClose(layer.moving_variance, 0.75 + 0.25 * variance, rtol=1e-12, atol=1e-12)

    @parameterized.parameters(*CUTS)
    def test_graphs_of_any_batch_and_compiled_ones_agree(
        self, rows: int, most: int, sizes: list[int]
    ) -> None:
        layer = self.layer(most)
        x = np.random.default_rng(0).normal(3.0, 2.0, (rows, 2, 3, 4))
        expected = normalised(x, sizes, layer.gamma.numpy(), layer.beta.numpy())
        call = tf.function(lambda x: layer(x, training=True))
        any_batch = call.get_concrete_function(tf.TensorSpec([None, 2, 3, 4], tf.float64))
        self.assertAllClose(any_batch(tf.constant(x)), expected, rtol=1e-12, atol=1e-12)
        compiled = tf.function(lambda x: layer(x, training=True), jit_compile=True)
        self.assertAllClose(compiled(tf.constant(x)), expected, rtol=1e-12, atol=1e-12)

    def test_inference_and_groups_as_large_as_the_batch_are_batch_normalisation(self) -> None:
        stock, ghost = keras.layers.BatchNormalization(epsilon=EPSILON), self.layer(5)
        stock.build((None, 2, 3, 4))
        stock.set_weights(ghost.get_weights())
        x = np.random.default_rng(0).normal(3.0, 2.0, (5, 2, 3, 4))
        for training in (True, False):
            self.assertAllClose(
                ghost(x, training=training), stock(x, training=training), rtol=1e-12, atol=1e-12
            )
        self.assertAllClose(ghost.get_weights(), stock.get_weights(), rtol=1e-12, atol=1e-12)
        ghost.trainable = False
        self.assertAllEqual(ghost(x, training=True), ghost(x))

    def test_statistics_of_a_ragged_step_are_those_of_its_groups(self) -> None:
        layer = GhostBatchNormalization(
            2,
            momentum=0.9,
            moving_mean_initializer=keras.initializers.Constant(3.0),
            moving_variance_initializer=keras.initializers.Constant(5.0),
        )
        parts = samples(4, 4, 3)
        state = run_step(sequential(layer), parts)
        self.assertTrue(state.is_only_measured)
        # A group of two, and a single sample: three micro-batches, whatever their groups.
        kept, sizes = 0.9**3, [2, 2, 2, 2, 2, 1]
        mean, variance = statistics(np.concatenate(parts), sizes)
        self.assertAllClose(layer.moving_mean, kept * 3.0 + (1 - kept) * mean, rtol=1e-12, atol=1e-12)
        self.assertAllClose(layer.moving_variance, kept * 5.0 + (1 - kept) * variance, rtol=1e-12, atol=1e-12)
        self.assertEqual(layer.moving_mean.shape, (FEATURES,))

    def test_second_derivatives_are_those_of_gradients(self) -> None:
        layer = self.layer(3, channels=2)
        random = np.random.default_rng(0)
        x, direction = (tf.constant(random.normal(size=(5, 2, 3, 2))) for _ in range(2))
        factors = tf.constant(random.normal(size=(5, 2, 3, 2)))

        def gradient(at: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(at)
                loss = tf.reduce_sum(factors * tf.tanh(layer(at, training=True)))
            return tape.gradient(loss, at)

        with tf.GradientTape() as outer:
            outer.watch(x)
            along = tf.reduce_sum(gradient(x) * direction)
        product = outer.gradient(along, x)
        step = 1e-5
        differences = (gradient(x + step * direction) - gradient(x - step * direction)) / (2 * step)
        self.assertAllClose(product, differences, rtol=1e-6, atol=1e-8)
        self.assertGreater(np.abs(product).max(), 0.01)

    def test_half_precision_has_float32_statistics(self) -> None:
        keras.config.set_dtype_policy("mixed_bfloat16")
        layer = self.layer(3)
        x = np.random.default_rng(0).normal(100.0, 1.0, (7, 2, 3, 4))
        rounded = tf.cast(x, tf.bfloat16)
        outputs = layer(rounded, training=True)
        self.assertEqual(outputs.dtype, tf.bfloat16)
        exact = tf.cast(rounded, tf.float64).numpy()
        expected = normalised(exact, [3, 2, 2], layer.gamma.numpy(), layer.beta.numpy())
        self.assertAllClose(tf.cast(outputs, tf.float64), expected, rtol=2**-8, atol=1e-3)

    def test_is_saved_and_loaded(self) -> None:
        network = sequential(GhostBatchNormalization(2, momentum=0.5))
        (x,) = samples(5)
        network(x, training=True)
        with tempfile.TemporaryDirectory() as folder:
            network.save(Path(folder) / "model.keras")
            loaded = keras.models.load_model(Path(folder) / "model.keras", safe_mode=True)
        for training in (False, True):
            self.assertAllEqual(loaded(x, training=training), network(x, training=training))

    @parameterized.parameters(
        ({"ghost_batch_size": 0}, "at least 1: got 0"),
        ({"ghost_batch_size": 4, "renorm": True}, "no renorm"),
        ({"ghost_batch_size": 4, "axis": 1}, "leave out axis"),
    )
    def test_refusals(self, arguments: dict, message: str) -> None:
        with self.assertRaisesRegex(ValueError, message):
            GhostBatchNormalization(**arguments)


if __name__ == "__main__":
    tf.test.main()
