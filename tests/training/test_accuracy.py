"""Accuracy of class numbers, one-hot targets and one output, against Keras' metrics; none where it has no meaning."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.networks import CLASSES, FEATURES
from tests.training.small_models import SAMPLES, X, Y, model_of
from tf_fullbatch.core.losses import SparseCrossentropy

ONE_HOT, ONES = np.eye(CLASSES)[Y], (Y > 0).astype(int)
LOGITS = {"from_logits": True}
Categorical = keras.losses.CategoricalCrossentropy


def network(outputs: int, activation: str | None = None, *, squeezed: bool = False) -> keras.Model:
    keras.utils.set_random_seed(4)
    layers = [keras.layers.Dense(8, "tanh"), keras.layers.Dense(outputs, activation)]
    if squeezed:
        layers.append(keras.layers.Reshape(()))
    return keras.Sequential([keras.Input((FEATURES,)), *layers])


def of_keras(metric: keras.metrics.Metric, targets: np.ndarray, outputs: np.ndarray) -> float:
    metric.update_state(targets, outputs)
    return float(metric.result())


class OwnCall(Categorical):
    """A loss that may take targets to be anything."""

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.square(y_true - y_pred), axis=-1)


class AccuracyTest(Float64Case):
    @parameterized.named_parameters(
        ("class_numbers", SparseCrossentropy(), CLASSES, None, Y, "sparse"),
        ("class_numbers_of_a_loss_of_ones_own", lambda y, z: tf.gather(-z, [0], axis=1), CLASSES, None, Y, "sparse"),
        ("one_hot", Categorical(**LOGITS), CLASSES, None, ONE_HOT, "one_hot"),
        ("smoothed", Categorical(label_smoothing=0.1, **LOGITS), CLASSES, None, ONE_HOT, "one_hot"),
        ("whole_one_hot", Categorical(**LOGITS), CLASSES, None, ONE_HOT.astype(int), "one_hot"),
        ("one_hot_by_name", "categorical_crossentropy", CLASSES, "softmax", ONE_HOT, "one_hot"),
        ("focal", keras.losses.CategoricalFocalCrossentropy(), CLASSES, "softmax", ONE_HOT, "one_hot"),
        ("logit", keras.losses.BinaryCrossentropy(**LOGITS), 1, None, ONES, "logits"),
        ("logit_of_a_column", keras.losses.BinaryCrossentropy(**LOGITS), 1, None, ONES[:, None] * 1.0, "logits"),
        ("focal_logit", keras.losses.BinaryFocalCrossentropy(**LOGITS), 1, None, ONES, "logits"),
        ("probability", keras.losses.BinaryCrossentropy(), 1, "sigmoid", ONES, "probabilities"),
        ("probability_by_name", "binary_crossentropy", 1, "sigmoid", ONES, "probabilities"),
    )  # fmt: skip
    def test_is_that_of_keras(
        self, loss: Any, outputs: int, activation: str | None, targets: np.ndarray, kind: str
    ) -> None:
        metric = {
            "sparse": keras.metrics.SparseCategoricalAccuracy,
            "one_hot": keras.metrics.CategoricalAccuracy,
            "logits": lambda: keras.metrics.BinaryAccuracy(threshold=0.0),
            "probabilities": keras.metrics.BinaryAccuracy,
        }[kind]
        model = model_of(network(outputs, activation), loss=loss, micro_batch_size=5)
        for _ in range(2):
            before = of_keras(metric(), targets.reshape(SAMPLES, -1), model.network.predict(X, verbose=0))
            history = model.fit(X, targets, validation_data=(X, targets), verbose=0).history
            after = of_keras(metric(), targets.reshape(SAMPLES, -1), model.network.predict(X, verbose=0))
            self.assertAllClose(history["accuracy"], [before], rtol=1e-12, atol=0)
            self.assertAllClose(history["val_accuracy"], [after], rtol=1e-12, atol=0)
            self.assertBetween(after, 1 / SAMPLES, 1 - 1 / SAMPLES)  # it could be another
        self.assertAllClose(float(model.objective(X, targets).value_and_gradient().accuracy), after)

    def test_of_outputs_without_an_axis(self) -> None:
        model = model_of(network(1, squeezed=True), loss=keras.losses.BinaryCrossentropy(**LOGITS))
        expected = np.mean((model.network.predict(X, verbose=0) > 0) == ONES)
        found = model.evaluate(X, ONES, return_dict=True, verbose=0)["accuracy"]
        self.assertAllClose(found, expected, rtol=1e-12, atol=0)

    @parameterized.named_parameters(
        ("several_labels", keras.losses.BinaryCrossentropy(**LOGITS), CLASSES, ONE_HOT),
        ("numbers", keras.losses.MeanSquaredError(), CLASSES, ONE_HOT),
        ("one_number", keras.losses.MeanSquaredError(), 1, ONES * 1.0),
        ("a_call_of_ones_own", OwnCall(**LOGITS), CLASSES, ONE_HOT),
    )
    def test_has_no_meaning(self, loss: keras.losses.Loss, outputs: int, targets: np.ndarray) -> None:
        model = model_of(network(outputs), loss=loss)
        history = model.fit(X, targets, validation_data=(X, targets), verbose=0).history
        self.assertNotIn("accuracy", history)
        self.assertNotIn("val_accuracy", history)
        self.assertNotIn("accuracy", model.last_step)
