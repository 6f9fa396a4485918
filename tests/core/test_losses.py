"""Sparse cross-entropy against Keras' losses and its own derivatives."""

import keras
import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_fullbatch.core.losses import SparseCrossentropy, SparseSquaredError

BATCH, CLASSES = 6, 5


def sample(dtype: str = "float64") -> tuple[tf.Tensor, tf.Tensor]:
    """Labels `[batch]` and logits `[batch, classes]`."""
    generator = np.random.default_rng(3)
    labels = generator.integers(0, CLASSES, BATCH)
    return tf.constant(labels), tf.constant(generator.normal(size=(BATCH, CLASSES)) * 3, dtype)


class AgainstKerasTest(tf.test.TestCase):
    def test_without_smoothing(self):
        labels, logits = sample()
        keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
        self.assertAllClose(
            SparseCrossentropy()(labels, logits), keras_loss(labels, logits), rtol=1e-15, atol=0
        )

    @settings(deadline=None, max_examples=20)
    @given(smoothing=st.floats(0, 0.99), seed=st.integers(0, 1000))
    def test_with_smoothing_and_weights(self, smoothing, seed):
        generator = np.random.default_rng(seed)
        labels, logits = generator.integers(0, CLASSES, BATCH), generator.normal(size=(BATCH, CLASSES)) * 5
        weights = generator.uniform(size=BATCH)
        keras_loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=smoothing, dtype="float64"
        )
        expected = keras_loss(np.eye(CLASSES)[labels], logits, weights)
        self.assertAllClose(
            SparseCrossentropy(smoothing)(labels, logits, weights), expected, rtol=1e-13, atol=0
        )

    def test_label_shapes(self):
        labels, logits = sample()
        loss = SparseCrossentropy(0.1)
        self.assertAllEqual(loss(labels, logits), loss(labels[:, None], logits))
        self.assertEqual(loss.call(labels[:, None], logits).shape, [BATCH])

    def test_sample_weights_divide_by_the_batch_not_by_their_sum(self):
        labels, logits = sample()
        loss = SparseCrossentropy(0.1)
        weights = tf.constant([0.0, 2.0, 1.0, 0.5, 3.0, 0.0], tf.float64)
        expected = tf.reduce_sum(weights * loss.call(labels, logits)) / BATCH
        self.assertAllClose(loss(labels, logits, weights), expected, rtol=1e-15, atol=0)

    def test_reduction_none_and_sum(self):
        labels, logits = sample()
        per_sample = SparseCrossentropy(0.2, reduction="none")(labels, logits)
        self.assertEqual(per_sample.shape, [BATCH])
        self.assertAllClose(
            SparseCrossentropy(0.2, reduction="sum")(labels, logits), tf.reduce_sum(per_sample)
        )


class PrecisionTest(tf.test.TestCase):
    def test_dtype_is_the_logits_but_float32_at_least(self):
        labels, logits = sample()
        for given_dtype, expected in (
            ("bfloat16", "float32"),
            ("float16", "float32"),
            ("float32", "float32"),
            ("float64", "float64"),
        ):
            loss = SparseCrossentropy()(labels, tf.cast(logits, given_dtype))
            self.assertEqual(loss.dtype.name, expected, given_dtype)

    def test_a_half_precision_floatx_does_not_lower_it(self):
        keras.config.set_floatx("bfloat16")
        self.addCleanup(keras.config.set_floatx, "float32")
        _, logits = sample("float32")
        many = tf.constant([257, 259, 300, 301, 302, 303])
        wide = tf.concat([logits, tf.zeros([BATCH, 300], tf.float32)], axis=-1)
        expected = tf.nn.sparse_softmax_cross_entropy_with_logits(many, wide)
        self.assertAllEqual(SparseCrossentropy(reduction="none")(many, wide), expected)

    def test_extreme_logits_are_finite(self):
        logits = tf.constant([[1e4, -1e4, 0.0]])
        for smoothing in (0.0, 0.1):
            loss = SparseCrossentropy(smoothing)(tf.constant([1]), logits)
            self.assertAllClose(loss, (1 - smoothing) * 2e4 + smoothing * 1e4)


class DerivativesTest(tf.test.TestCase):
    def expected(self, labels, logits, smoothing):
        """Gradient `(p - q) / B` and the Hessian blocks `(diag(p) - p p^T) / B` of the mean loss."""
        p = tf.nn.softmax(logits).numpy()
        q = np.eye(CLASSES)[labels.numpy()] * (1 - smoothing) + smoothing / CLASSES
        blocks = np.stack([np.diag(row) - np.outer(row, row) for row in p])
        return (p - q) / BATCH, blocks / BATCH

    def test_nested_tapes(self):
        labels, logits = sample()
        for smoothing in (0.0, 0.1):
            with tf.GradientTape(persistent=True) as outer:
                outer.watch(logits)
                with tf.GradientTape() as inner:
                    inner.watch(logits)
                    loss = SparseCrossentropy(smoothing)(labels, logits)
                gradient = inner.gradient(loss, logits)
            expected_gradient, expected_blocks = self.expected(labels, logits, smoothing)
            self.assertAllClose(gradient, expected_gradient, rtol=1e-13, atol=1e-16)
            blocks = outer.batch_jacobian(gradient, logits, experimental_use_pfor=False)
            self.assertAllClose(blocks, expected_blocks, rtol=1e-12, atol=1e-16)

    def test_forward_over_reverse(self):
        labels, logits = sample()
        tangent = tf.random.stateless_normal(logits.shape, [1, 2], dtype=tf.float64)

        @tf.function
        def forward_over_reverse(smoothing):
            with tf.autodiff.ForwardAccumulator(logits, tangent) as accumulator:
                with tf.GradientTape() as tape:
                    tape.watch(logits)
                    loss = SparseCrossentropy(smoothing)(labels, logits)
                gradient = tape.gradient(loss, logits)
            return accumulator.jvp(gradient)

        for smoothing in (0.0, 0.1):
            _, blocks = self.expected(labels, logits, smoothing)
            self.assertAllClose(
                forward_over_reverse(smoothing),
                np.einsum("bij,bj->bi", blocks, tangent),
                rtol=1e-12,
                atol=1e-16,
            )


class ArgumentsTest(tf.test.TestCase):
    def test_serialisation_round_trip(self):
        loss = SparseCrossentropy(0.1, reduction="sum", dtype="float64")
        restored = keras.losses.deserialize(keras.losses.serialize(loss))
        self.assertIsInstance(restored, SparseCrossentropy)
        self.assertEqual(restored.get_config(), loss.get_config())
        self.assertEqual(restored.get_config()["label_smoothing"], 0.1)

    def test_wrong_smoothing_is_refused(self):
        for smoothing in (-0.1, 1.0, float("nan")):
            with self.assertRaisesRegex(ValueError, "label_smoothing"):
                SparseCrossentropy(smoothing)

    def test_trains_in_fit(self):
        model = keras.Sequential([keras.Input([2]), keras.layers.Dense(2)])
        model.compile(keras.optimizers.SGD(0.5), SparseCrossentropy(0.1))
        x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1])
        losses = model.fit(x, y, epochs=3, verbose=0).history["loss"]
        self.assertLess(losses[-1], losses[0])


class SquaredErrorTest(tf.test.TestCase):
    def test_is_half_the_squared_distance_from_one_hot_targets(self):
        labels, outputs = sample()
        weights = tf.constant([0.0, 2.0, 1.0, 0.5, 3.0, 0.0], tf.float64)
        distances = 0.5 * np.sum((outputs.numpy() - np.eye(CLASSES)[labels.numpy()]) ** 2, axis=1)
        loss = SparseSquaredError()
        self.assertAllClose(loss.call(labels, outputs), distances, rtol=1e-15, atol=0)
        self.assertAllClose(loss(labels, outputs, weights), np.sum(weights * distances) / BATCH, rtol=1e-14)
        self.assertEqual(loss(labels, outputs).dtype, tf.float64)

    def test_of_places_and_label_shapes(self):
        labels, outputs = sample()
        loss = SparseSquaredError()
        self.assertAllEqual(loss(labels, outputs), loss(labels[:, None], outputs))
        places = tf.reshape(outputs, [2, 3, CLASSES])
        self.assertAllEqual(
            loss.call(tf.reshape(labels, [2, 3]), places), tf.reshape(loss.call(labels, outputs), [2, 3])
        )

    def test_is_loaded_again(self):
        labels, outputs = sample()
        again = keras.losses.deserialize(keras.losses.serialize(SparseSquaredError()))
        self.assertAllEqual(again(labels, outputs), SparseSquaredError()(labels, outputs))


if __name__ == "__main__":
    tf.test.main()
