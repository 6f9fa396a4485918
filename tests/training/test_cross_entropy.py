"""The cross-entropy shown beside the objective: without smoothing and regularisation, by hand, on every path."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.networks import CLASSES, softplus_network
from tests.training.small_models import SAMPLES, X, Y, model_of
from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.data.batches import UpdateBatches

SMOOTHING = 0.1
ONE_HOT = np.eye(CLASSES)[Y]


def regularised() -> keras.Model:
    return softplus_network(
        keras.layers.Dense(4, "softplus", kernel_regularizer=keras.regularizers.L2(0.0625))
    )


def log_probabilities(network: keras.Model, inputs: np.ndarray = X) -> np.ndarray:
    logits = network.predict(inputs, verbose=0)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def by_hand(network: keras.Model, weights: np.ndarray | None = None) -> tuple[float, float]:
    """(cross-entropy, objective) over all samples."""
    log_p, factors = log_probabilities(network), np.ones(SAMPLES) if weights is None else weights
    plain = -log_p[np.arange(SAMPLES), Y]
    smoothed = (1 - SMOOTHING) * plain - SMOOTHING * log_p.mean(axis=1)
    added = 0.0625 * np.sum(np.square(network.layers[1].kernel.numpy()))
    return float(np.mean(factors * plain)), float(np.mean(factors * smoothed) + added)


class CrossEntropyCase(Float64Case):
    def assert_is(self, figures: dict[str, float], expected: Sequence[float]) -> None:
        self.assertAllClose([figures["cross_entropy"], figures["loss"]], expected, rtol=1e-12, atol=0)
        self.assertGreater(abs(expected[0] - expected[1]), 0.01)

    def assert_of_a_step_at_the_weights_before_it(
        self, on_device: bool, loss: Any = None, targets: np.ndarray = Y, **settings: Any
    ) -> None:
        if settings.get("penalty"):
            settings["penalty_strength"] = 0.5
        loss = loss or SparseCrossentropy(SMOOTHING)
        settings = {"micro_batch_size": 5} | settings
        network = regularised()
        model = model_of(network, loss=loss, **settings)
        batches = UpdateBatches(X, targets, on_device=on_device)
        for _ in range(2):
            expected = by_hand(network)
            model.fit(batches, epochs=1, verbose=0)
            self.assert_is(model.last_step, expected)
        self.assert_is(model.evaluate_batches(batches), by_hand(network))


@pytest.mark.slow
class OtherWaysTest(CrossEntropyCase):
    @parameterized.parameters(
        {"on_device": True},
        {"on_device": False, "micro_batch_size": SAMPLES},
        {"on_device": False, "multiplicative_noise": 0.5},
        {"on_device": True, "accumulate_dtype": "float64", "penalty": "forward_over_reverse"},
    )
    def test_of_a_step(self, **settings: Any) -> None:
        self.assert_of_a_step_at_the_weights_before_it(**settings)


class CrossEntropyTest(CrossEntropyCase):
    @parameterized.parameters(
        {"on_device": False},
        {"on_device": True, "micro_batch_size": SAMPLES},
        {"on_device": True, "penalty": "nested_tape", "full_gradient_penalty_strength": 0.3},
        {
            "on_device": True,
            "loss": keras.losses.CategoricalCrossentropy(True, SMOOTHING),
            "targets": ONE_HOT,
        },
    )
    def test_of_a_step(self, **settings: Any) -> None:
        self.assert_of_a_step_at_the_weights_before_it(**settings)

    def test_sample_weights_count_as_they_do_in_the_loss(self) -> None:
        weights = np.random.default_rng(5).uniform(0.2, 2.0, SAMPLES)
        network = regularised()
        model = model_of(network, loss=SparseCrossentropy(SMOOTHING), micro_batch_size=5)
        expected = by_hand(network, weights)
        model.fit(X, Y, sample_weight=weights, verbose=0)
        self.assert_is(model.last_step, expected)

    def test_means_over_an_epoch_and_validation_are_among_the_logs(self) -> None:
        network = regularised()
        model = model_of(network, loss=SparseCrossentropy(SMOOTHING), micro_batch_size=5)
        expected = by_hand(network)
        history = model.fit(X, Y, verbose=0, validation_data=(X, Y)).history
        self.assert_is({name: history[name][0] for name in ("cross_entropy", "loss")}, expected)
        of_validation = {name: history[f"val_{name}"][0] for name in ("cross_entropy", "loss")}
        self.assert_is(of_validation, by_hand(network))

    def test_without_smoothing_and_regularisation_it_is_the_loss_to_the_bit(self) -> None:
        for loss in (
            SparseCrossentropy(),
            "sparse_categorical_crossentropy",
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ):
            model = model_of(loss=loss, micro_batch_size=5)
            model.fit(X, Y, verbose=0)
            self.assertEqual(model.last_step["cross_entropy"], model.last_step["loss"])

    def test_blank_where_the_loss_is_no_cross_entropy_of_classes(self) -> None:
        class Mine(keras.losses.SparseCategoricalCrossentropy):
            def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
                return 2 * super().call(y_true, y_pred)

        for loss, targets in (
            ("mse", ONE_HOT),
            (Mine(from_logits=True), Y),
            (lambda t, o: (t - o) ** 2, ONE_HOT),
        ):
            model = model_of(loss=loss, micro_batch_size=5)
            model.fit(X, targets, verbose=0)
            self.assertNotIn("cross_entropy", model.last_step)
            self.assertNotIn("cross_entropy", model.evaluate(X, targets, verbose=0, return_dict=True))


if __name__ == "__main__":
    tf.test.main()
