"""What evaluate and predict compute, against stock Keras and NumPy."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.networks import CLASSES, softplus_network
from tests.training.small_models import SAMPLES, X, Y, model_of, normal
from tf_fullbatch.core.sigmoid import SparseSigmoid
from tf_fullbatch.data.batches import UpdateBatches


class EvaluateTest(Float64Case):
    @parameterized.parameters(1, 4, 23, 100)
    def test_every_sample_counts_once(self, micro_batch_size: int) -> None:
        network = softplus_network(keras.layers.BatchNormalization(), keras.layers.Dropout(0.5))
        metrics = [keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="entropy")]
        model = model_of(network, metrics=metrics, micro_batch_size=micro_batch_size)
        found = model.evaluate(X, Y, verbose=0, return_dict=True)
        logits = network.predict(X, verbose=0)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        self.assertAllClose(found["loss"], -np.mean(log_p[np.arange(SAMPLES), Y]), rtol=1e-12, atol=0)
        self.assertAllClose(found["accuracy"], np.mean(np.argmax(logits, axis=1) == Y), rtol=1e-12, atol=0)
        self.assertAllClose(found["entropy"], found["loss"], rtol=1e-12, atol=0)

    def test_equals_stock_keras_regularizers_included(self) -> None:
        network = softplus_network(keras.layers.Dense(4, kernel_regularizer="l2"))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        network.compile(loss=loss, metrics=["accuracy"])
        stock = network.evaluate(X, Y, batch_size=SAMPLES, verbose=0)
        ours = model_of(network, metrics=["accuracy"], micro_batch_size=4).evaluate(X, Y, verbose=0)
        self.assertAllClose(ours, stock, rtol=1e-12, atol=0)

    def test_flip_averaging(self) -> None:
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [keras.Input((4, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(CLASSES)]
        )
        images = normal(SAMPLES, 4, 6, 1)
        model = model_of(network, flip_averaging=True, micro_batch_size=4)
        expected = (network.predict(images, verbose=0) + network.predict(images[:, :, ::-1], verbose=0)) / 2
        self.assertAllClose(model.predict(images, verbose=0), expected, rtol=1e-13, atol=1e-13)
        loss = np.mean(keras.losses.sparse_categorical_crossentropy(Y, expected, from_logits=True))
        self.assertAllClose(model.evaluate(images, Y, verbose=0), loss, rtol=1e-12, atol=0)
        # Training sees the images as they are.
        plain = np.mean(
            keras.losses.sparse_categorical_crossentropy(
                Y, network.predict(images, verbose=0), from_logits=True
            )
        )
        self.assertAllClose(model.fit(images, Y, verbose=0).history["loss"], [plain], rtol=1e-12, atol=0)

    def test_test_time_augmentation(self) -> None:
        """The mean of softmax over six views with airbench's weights, by NumPy; of other losses the mean output."""
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [keras.Input((4, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(CLASSES)]
        )
        images = normal(SAMPLES, 4, 6, 1)
        padded = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="reflect")
        moved = {0.5: images, 0.25: padded[:, :4, :6]}, {0.25: padded[:, 2:, 2:]}
        weighted = [(w / 2, x[:, :, ::s]) for views in moved for w, x in views.items() for s in (1, -1)]

        def softmax(z: np.ndarray) -> np.ndarray:
            return np.exp(z) / np.exp(z).sum(-1, keepdims=True)

        mean = sum(w * softmax(network.predict(x, verbose=0)) for w, x in weighted)
        model = model_of(network, test_time_augmentation="flip_translate", micro_batch_size=4)
        self.assertAllClose(softmax(model.predict(images, verbose=0)), mean, rtol=1e-12, atol=1e-13)
        loss = -np.log(mean[np.arange(SAMPLES), Y]).mean()
        self.assertAllClose(model.evaluate(images, Y, verbose=0), loss, rtol=1e-12, atol=0)
        flip = model_of(network, test_time_augmentation="flip", loss="mse")
        both = (network.predict(images, verbose=0) + network.predict(images[:, :, ::-1], verbose=0)) / 2
        self.assertAllClose(flip.predict(images, verbose=0), both, rtol=1e-13, atol=1e-13)

    @parameterized.parameters(
        (keras.losses.BinaryCrossentropy(from_logits=True), 1),
        (keras.losses.BinaryFocalCrossentropy(from_logits=True), 3),
        (SparseSigmoid(), CLASSES),
    )
    def test_test_time_augmentation_of_sigmoids(self, loss: keras.losses.Loss, outputs: int) -> None:
        """The logit of the mean of both views' sigmoids, by NumPy."""
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [keras.Input((4, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(outputs)]
        )
        images = normal(SAMPLES, 4, 6, 1)
        views = (network.predict(x, verbose=0) for x in (images, images[:, :, ::-1]))
        p = sum(1 / (1 + np.exp(-z)) for z in views) / 2
        model = model_of(network, test_time_augmentation="flip", loss=loss, micro_batch_size=4)
        self.assertAllClose(model.predict(images, verbose=0), np.log(p / (1 - p)), rtol=1e-12, atol=1e-13)

    def test_predict_is_the_networks(self) -> None:
        model = model_of(softplus_network(keras.layers.Dropout(0.5)), micro_batch_size=4)
        expected = model.network.predict(X, verbose=0)
        self.assertAllClose(model.predict(X, verbose=0), expected, rtol=1e-14, atol=1e-14)

    def test_update_batches_of_one_step(self) -> None:
        model = model_of(micro_batch_size=4)
        batches = UpdateBatches(X, Y, chunk_micro_batches=1)
        expected = model.evaluate(X, Y, verbose=0)
        self.assertEqual(model.evaluate(batches, verbose=0), expected)
        self.assertEqual(model.evaluate(batches, verbose=0), expected)
        with self.assertRaisesRegex(ValueError, "batch_size=5"):
            model.evaluate(UpdateBatches(X, Y, batch_size=5), verbose=0)


if __name__ == "__main__":
    tf.test.main()
