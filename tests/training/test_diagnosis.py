"""Where a step says that something not finite came from."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.errors import NonFiniteError
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.run.devices import precision
from tf_fullbatch.training.full_batch_model import FullBatchModel

SAMPLES = 22


def data() -> tuple[np.ndarray, np.ndarray]:
    """Inputs `[22, 3]` and labels of 2 classes."""
    generator = np.random.default_rng(1)
    return generator.normal(size=(SAMPLES, 3)).astype("float32"), generator.integers(0, 2, SAMPLES)


def network(*middle: keras.layers.Layer) -> keras.Model:
    """Dense layers "first" and "last" around others."""
    inputs = x = keras.Input((3,))
    for layer in (keras.layers.Dense(4, name="first"), *middle, keras.layers.Dense(2, name="last")):
        x = layer(x)
    return keras.Model(inputs, x)


class DiagnosisTest(tf.test.TestCase, parameterized.TestCase):
    def message(self, built: keras.Model, x: np.ndarray, y: np.ndarray, **options) -> str:
        """What `fit` refuses with."""
        batching = {
            name: options.pop(name)
            for name in ("batch_size", "shuffle", "sample_weight", "on_device")
            if name in options
        }
        loss = options.pop("loss", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model = FullBatchModel(built, micro_batch_size=4, **options)
        model.compile(optimizer=GradientDescent(0.1), loss=loss)
        batches = UpdateBatches(x, y, seed=0, **batching)
        with self.assertRaises(NonFiniteError) as caught:
            model.fit(batches, verbose=0)
        return str(caught.exception)

    def test_an_input(self):
        x, y = data()
        x[13, 1] = np.nan
        message = self.message(network(keras.layers.BatchNormalization()), x, y)
        self.assertIn("samples 12 to 15 (micro-batch 3), in the input of sample 13: the update", message)
        self.assert_about_data(message, "of 22 inputs those of samples 13.")

    def assert_about_data(self, message: str, advice: str) -> None:
        self.assertTrue(message.endswith(f" Mend or leave out what is not finite: {advice}"), message)
        self.assertNotIn("--", message)

    @parameterized.parameters(True, False)
    def test_all_samples_that_are_not_finite_are_named(self, on_device: bool) -> None:
        x, y = data()
        x[[7, 13, 20]] = np.nan
        message = self.message(network(), x, y, on_device=on_device)
        self.assertIn("in the input of sample 7", message)
        self.assert_about_data(message, "of 22 inputs those of samples 7, 13, 20.")

    def test_a_target_of_a_regression(self) -> None:
        x, _ = data()
        y = x[:, :2].copy()
        y[9, 1] = np.nan
        message = self.message(network(), x, y, loss="mse")
        self.assertIn("(micro-batch 2), in the target of sample 9", message)
        self.assert_about_data(message, "of 22 targets those of samples 9.")

    def test_a_sample_weight(self) -> None:
        weights = np.ones(SAMPLES)
        weights[5] = np.inf
        message = self.message(network(), *data(), sample_weight=weights)
        self.assertIn("in the sample weight of sample 5", message)
        self.assert_about_data(message, "of 22 sample weights those of samples 5.")

    def test_numbers_beyond_the_precision_in_use(self) -> None:
        x, y = data()
        x = x.astype("float64")
        x[6] = 1e39
        message = self.message(network(), x, y)
        self.assertIn("in the input of sample 6", message)
        self.assert_about_data(message, "of 22 inputs those of samples 6.")

    def test_an_augmentation(self) -> None:
        def augmentation(x: tf.Tensor, sample_ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
            return x / tf.cast(sample_ids != 10, x.dtype)[:, None]

        message = self.message(network(), *data(), augmentation_function=augmentation)
        self.assertIn("in what the augmentation made of sample 10: ", message)
        self.assertTrue(message.endswith("Let it return finite inputs."))

    def test_an_augmentation_of_several_copies(self) -> None:
        def augmentation(x: tf.Tensor, sample_ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
            second = tf.cast(epoch % 2 == 1, x.dtype)
            return x / (1 - second * tf.cast(sample_ids == 10, x.dtype))[:, None]

        message = self.message(network(), *data(), augmentation_function=augmentation, max_up=2)
        self.assertIn("in what the augmentation made of sample 10: ", message)

    def test_samples_that_a_layer_cannot_take(self) -> None:
        x, y = data()
        x = np.abs(x) + 0.1
        x[17, 2] = -1.0
        built = keras.Sequential(
            [keras.Input((3,)), keras.layers.Activation(keras.ops.log, name="log"), keras.layers.Dense(2)]
        )
        message = self.message(built, x, y)
        self.assertIn("(micro-batch 4), in the output of layer 'log', of sample 17: ", message)

    def test_no_sample_counts(self) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        )
        for batch_size in (4, None):  # one micro-batch, and several
            weights = np.ones(SAMPLES) if batch_size else np.zeros(SAMPLES)
            weights[:4] = 0
            message = self.message(
                network(), *data(), sample_weight=weights, loss=loss, batch_size=batch_size
            )
            self.assertIn("no sample of the step counts: sample weights or masks are 0 throughout", message)
            self.assertTrue(message.endswith("leave something to learn from."))

    def test_before_the_first_update_no_learning_rate_is_to_blame(self) -> None:
        x, y = data()
        x[3, 0] = 3e38
        message = self.message(network(keras.layers.Activation("exponential", name="exp")), x, y)
        self.assertRegex(
            message, "No update was made before, so no learning rate is to blame: .* up to 3e\\+38"
        )
        self.assertNotIn("--learning_rate", message)

    def test_an_input_in_a_later_shuffled_step(self):
        x, y = data()
        x[13, 1] = np.inf
        place = int(np.flatnonzero(UpdateBatches(x, y, shuffle=True).order(0) == 13)[0])
        micro_batch = place % 12 // 4
        message = self.message(network(), x, y, batch_size=12, shuffle=True)
        self.assertIn(f"in step {place // 12 + 1}, first seen in samples {place // 4 * 4} to ", message)
        self.assertIn(f"of epoch 1's order (micro-batch {micro_batch}), in the input of sample 13", message)

    def test_a_layer(self):
        x, y = data()
        built = network(keras.layers.Activation(lambda v: keras.ops.exp(1e4 * v * v), name="explosive"))
        message = self.message(built, x, y, penalty="nested_tape", penalty_strength=0.5)
        self.assertIn("(micro-batch 0), in the output of layer 'explosive'", message)

    def test_a_gradient(self):
        # sqrt(|x|) has value 0 and an infinite slope at 0.
        x, y = data()
        x[:] = 0
        built = network(keras.layers.Activation(lambda v: keras.ops.sqrt(keras.ops.abs(v))))
        self.assertIn("in the gradient of 'first/bias'", self.message(built, x, y))

    def test_noise_on_the_losses(self):
        # Some of its factors are beyond float32; the losses themselves are finite.
        message = self.message(network(), *data(), multiplicative_noise=3e38)
        self.assertRegex(message, r"first seen in samples \d+ to \d+ \(micro-batch \d\), in the gradient of")

    def test_a_sum(self):
        # Each micro-batch's gradient is large but finite; four samples' weight times it is not.
        x, y = data()
        built = network()
        built.layers[-1].kernel.assign(tf.zeros((4, 2)))
        x[:] = 1e38
        built.layers[1].kernel.assign(tf.ones((3, 4)) / 3)
        y[:] = 0
        message = self.message(built, x, y)
        self.assertIn("every micro-batch is finite by itself: their sum overflows", message)

    def test_a_network_without_a_graph_of_layers(self):
        class Subclassed(keras.Model):
            def __init__(self):
                super().__init__()
                self.dense = keras.layers.Dense(2)

            def call(self, x, training=None):
                return keras.ops.log(self.dense(x) * 0 - 1.0)

        self.assertIn("(micro-batch 0), in the loss", self.message(Subclassed(), *data()))

    def test_bfloat16(self):
        x, y = data()
        with precision("mixed_bfloat16"):
            built = network(keras.layers.Activation(lambda v: v * 1e38 * 1e38, name="beyond"))
            self.assertIn("in the output of layer 'beyond'", self.message(built, x, y))


if __name__ == "__main__":
    tf.test.main()
