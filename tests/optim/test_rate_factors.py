"""Factors on the learning rates of some weights."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch import FullBatchModel, GradientDescent
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rate_factors import rate_factors

PATHS = ["a/kernel", "a/bias", "b/kernel", "head/kernel"]


class ParsingTest(parameterized.TestCase):
    @parameterized.parameters(
        (None, [1, 1, 1, 1]),
        ("a/=0.5", [0.5, 0.5, 1, 1]),
        ("head=1,kernel=0.1,.*=0", [0.1, 0, 0.1, 1]),
        ("^(a|b)/kernel$=2e-3", [0.002, 1, 0.002, 1]),
    )
    def test_the_first_pattern_that_is_found_counts(self, text: str | None, expected: list[float]) -> None:
        self.assertEqual(rate_factors(text, PATHS), expected)

    @parameterized.parameters(
        ("a", "no PATTERN=FACTOR"),
        ("=0.1", "no PATTERN=FACTOR"),
        ("a=x", "no PATTERN=FACTOR"),
        ("a=-1", "a factor is 0 or more"),
        ("a=nan", "a factor is 0 or more"),
        ("(=1", "no PATTERN=FACTOR"),
        ("c=1", "'c' is the first to be found in no weight's path; the trainable weights are a/kernel"),
        (".*=1,a=2", "'a' is the first to be found in no weight's path"),
    )
    def test_what_is_refused(self, text: str, words: str) -> None:
        with self.assertRaisesRegex(UserError, words):
            rate_factors(text, PATHS)


def trained(optimizer: keras.optimizers.Optimizer, factors: dict | None, epochs: int = 4) -> list[np.ndarray]:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(5, "tanh", name="body"), keras.layers.Dense(1, name="head")]
    model = FullBatchModel(
        keras.Sequential([keras.Input((3,)), *layers]), micro_batch_size=8, learning_rate_factors=factors
    )
    model.compile(optimizer=optimizer, loss="mse")
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    model.fit(x, x[:, :1] - x[:, 1:2], epochs=epochs, verbose=0)
    return model.network.get_weights()


class TrainingTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        (lambda rate: GradientDescent(rate, momentum=0.9, nesterov=True, weight_decay=0.01),),
        (lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=0.01),),
        (lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.1),),
        (lambda rate: keras.optimizers.Lion(rate),),
    )
    def test_a_factor_on_all_is_another_rate(self, made) -> None:
        rates = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.7)
        lower = keras.optimizers.schedules.ExponentialDecay(0.03, 1, 0.7)
        found, expected = trained(made(rates), {".*": 0.3}), trained(made(lower), None)
        for ours, theirs in zip(found, expected, strict=True):
            self.assertAllClose(ours, theirs, rtol=1e-5, atol=1e-6)

    def test_a_factor_on_some(self) -> None:
        plain, scaled, frozen = (
            trained(GradientDescent(0.1), factors, epochs=1)
            for factors in (None, {"head/": 0.25}, {"body": 0})
        )
        start = trained(GradientDescent(0.0), None, epochs=1)
        for name, i in (("body", 0), ("body", 1), ("head", 2), ("head", 3)):
            factor = 0.25 if name == "head" else 1
            self.assertAllClose(scaled[i] - start[i], factor * (plain[i] - start[i]), rtol=1e-5, atol=1e-7)
            self.assertAllEqual(frozen[i], start[i] if name == "body" else plain[i])

    def test_optimizers_that_average_weights(self) -> None:
        with self.assertRaisesRegex(
            UserError, "^learning_rate_factors=.*=0.3 with an optimizer of use_ema=True"
        ):
            trained(keras.optimizers.SGD(0.1, use_ema=True), {".*": 0.3})


if __name__ == "__main__":
    tf.test.main()
