"""What measures refuse before the first step, and what they are told of a training."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.networks import softplus_network
from tests.training.small_models import SAMPLES, X, Y, model_of
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.keras_schedule import build_schedule
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.training.beginning import ModelBeginning
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.measure import Measure


def plain(**settings: Any) -> FullBatchModel:
    return model_of(optimizer=GradientDescent(0.1, momentum=0.0), **settings)


def beginning(model: FullBatchModel, batch_size: int = SAMPLES) -> ModelBeginning:
    batches = UpdateBatches(X, Y, batch_size=batch_size)
    model.prepare(batches, training=True)
    return ModelBeginning(model, model.trainer.training, batches)


def schedule(name: str, warmup: float = 0) -> keras.optimizers.schedules.LearningRateSchedule:
    return build_schedule(name, peak=0.1, warmup_epochs=warmup, horizon_epochs=3, steps_per_epoch=1)


class FactsTest(parameterized.TestCase):
    def test_of_plain_gradient_descent_there_is_nothing_to_say(self) -> None:
        optimizers: list[Callable[[], Any]] = [
            lambda: GradientDescent(0.1, momentum=0.0),
            lambda: GradientDescent(schedule("constant"), momentum=0.0),
            lambda: keras.optimizers.SGD(0.1),
        ]
        for optimizer in optimizers:
            found = beginning(model_of(optimizer=optimizer()))
            self.assertEqual((found.beside_the_method, found.beside_the_gradient), ([], []))
            self.assertFalse(found.has_momentum)

    def test_micro_batches_are_those_of_the_set(self) -> None:
        self.assertEqual(beginning(plain(micro_batch_size=8), batch_size=8).micro_batches, 3)

    @parameterized.parameters(
        (lambda: GradientDescent(0.1), "--momentum=0.9"),
        (lambda: GradientDescent(0.1, momentum=0.0, weight_decay=0.5), "--weight_decay=0.5"),
        (lambda: keras.optimizers.SGD(0.1, momentum=0.5), "--momentum=0.5"),
        (lambda: keras.optimizers.Adam(0.1), "the optimizer Adam"),
        (lambda: keras.optimizers.SGD(0.1, clipnorm=1.0), "the optimizer SGD"),
    )
    def test_beside_the_gradient(self, optimizer: Callable[[], Any], named: str) -> None:
        found = beginning(model_of(optimizer=optimizer()))
        self.assertEqual(found.beside_the_gradient, [named])
        self.assertEqual(found.has_momentum, "momentum" in named or "Adam" in named)

    def test_lookahead_is_beside_the_gradient(self) -> None:
        found = beginning(plain(lookahead_steps=5))
        self.assertEqual((found.beside_the_gradient, found.beside_the_method), (["--lookahead_steps=5"], []))

    def test_beside_the_method(self) -> None:
        for settings in (
            {"clip_norm": 0.25},
            {"micro_batch_clip_norm": 0.5},
            {"additive_noise": 0.1},
            {"multiplicative_noise": 0.1},
            {"learning_rate_factors": "kernel=0.5"},
            {"penalty": "nested_tape", "penalty_strength": 0.5},
        ):
            named = beginning(plain(**settings)).beside_the_method
            name, value = next(iter(settings.items()))
            self.assertEqual(named, [f"--{name}={value}"])
        (several,) = beginning(plain(micro_batch_size=8), batch_size=8).beside_the_method
        self.assertIn("3 updates per pass", several)
        for moving in (schedule("cosine"), schedule("constant", warmup=2)):
            optimizer = GradientDescent(moving, momentum=0.0)
            (changes,) = beginning(model_of(optimizer=optimizer)).beside_the_method
            self.assertIn("--schedule=constant", changes)

    def test_what_is_the_same_in_each_pass(self) -> None:
        images = np.random.default_rng(0).integers(0, 256, (SAMPLES, 4, 4, 1)).astype(np.uint8)
        layers = [keras.layers.Flatten(), keras.layers.Dense(4)]
        for copies, found in (
            ({}, ["--augmentation=flip"]),
            ({"augment_copies": 2, "copies_in_turn": True}, ["--augmentation=flip"]),
            ({"augment_copies": 2}, []),
        ):
            network = keras.Sequential([keras.Input((4, 4, 1)), *layers])
            model = model_of(network, GradientDescent(0.1, momentum=0.0), augmentation="flip", **copies)
            batches = UpdateBatches(images, Y, copies=model.settings.copies_per_pass)
            model.prepare(batches, training=True)
            seen = ModelBeginning(model, model.trainer.training, batches)
            self.assertEqual((seen.differs_from_step_to_step, seen.beside_the_method), (found, found))


class RefusalTest(parameterized.TestCase):
    """Nothing is trained, and nothing measured."""

    def assert_refused(self, words: str, measure: Measure, model: FullBatchModel) -> None:
        before = [np.array(w) for w in model.network.get_weights()]
        with self.assertRaisesRegex(UserError, words) as caught:
            model.fit(X, Y, epochs=1, verbose=0, callbacks=[measure])
        self.assertLen(str(caught.exception).splitlines(), 1)
        self.assertEqual(measure.records, [])
        for a, b in zip(before, model.network.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    @parameterized.parameters("noise_scale", "snr")
    def test_one_micro_batch(self, name: str) -> None:
        self.assert_refused(f"measure={name}: the set is 1 micro-batch", Measure(name), plain())

    def test_two_micro_batches_for_a_jackknife(self) -> None:
        measure = Measure("snr", options={"snr.gsnr_jackknife": True})
        self.assert_refused("measure=snr: .* needs 3", measure, plain(micro_batch_size=12))

    def test_no_momentum(self) -> None:
        words = "measure=momentum_similarity: the method keeps no momentum: set momentum"
        self.assert_refused(words, Measure("momentum_similarity"), plain())

    @parameterized.parameters("sharpness", "trace", "density", "batch_sharpness")
    def test_a_network_without_exact_second_derivatives(self, name: str) -> None:
        network = softplus_network(
            keras.layers.Reshape((5, 1)), keras.layers.MaxPooling1D(3, 1, "same"), keras.layers.Flatten()
        )
        words = f"measure={name}: The layer 'max_pooling1d.*MaxPoolGrad"
        self.assert_refused(words, Measure(name), model_of(network))

    def test_what_can_be_measured_is(self) -> None:
        measure = Measure("sharpness", "noise_scale", "momentum_similarity")
        model_of(micro_batch_size=8).fit(X, Y, epochs=1, verbose=0, callbacks=[measure])
        self.assertGreater(len(measure.records), 6)


if __name__ == "__main__":
    tf.test.main()
