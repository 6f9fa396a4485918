"""Every family's Hessian products are the derivative of its gradient, in float64."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import tf_fullbatch
from tests.models.networks import CLASSES, built, float64, moved_off, pixels
from tf_fullbatch.core.objective import Objective

STEP = 1e-4
SMOOTH = (
    ("vit_micro", {"width": 4}),
    ("convnext_micro", {"width": 4}),
    ("cnn", {"width": 3, "activation": "tanh", "pooling": "none"}),
    ("cnn", {"width": 3, "activation": "softplus", "pooling": "average"}),
    ("densenet_tiny", {"growth_rate": 1, "activation": "tanh"}),
)
"""Differentiable everywhere: a kink between the two gradients would be a difference."""

KINKED = (("cnn", {"width": 3}), ("vgg11", {"width": 1}))
"""With relu and maxima."""


class SecondDerivativesTest(tf.test.TestCase, parameterized.TestCase):
    def objective(self, name: str, settings: dict) -> Objective:
        network = moved_off(built(name, **settings))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        labels = np.arange(6) % CLASSES
        return tf_fullbatch.objective_of(network, pixels(6), labels, loss=loss, micro_batch_size=3)

    @parameterized.parameters(*SMOOTH)
    def test_products_are_differences_of_gradients(self, name: str, settings: dict):
        """Central differences of steps h and 2 h, extrapolated: what is left is of order h^4."""
        with float64():
            objective = self.objective(name, settings)
            theta = objective.theta()
            direction = drawn(theta, 2)
            product = flat(objective.hvp(theta, direction))

            def gradient(step: float) -> np.ndarray:
                moved = [value + step * along for value, along in zip(theta, direction, strict=True)]
                return flat(objective.value_and_gradient(moved).gradient)

            def difference(step: float) -> np.ndarray:
                return (gradient(step) - gradient(-step)) / (2 * step)

            expected = (4 * difference(STEP) - difference(2 * STEP)) / 3
        self.assertGreater(np.abs(expected).max(), 1e-3)
        self.assertAllClose(product, expected, rtol=0, atol=1e-7 * np.abs(expected).max())

    @parameterized.parameters(*KINKED)
    def test_products_are_symmetric(self, name: str, settings: dict):
        """`u . H v = v . H u`, of products that are not zero."""
        with float64():
            objective = self.objective(name, settings)
            theta = objective.theta()
            u, v = drawn(theta, 2), drawn(theta, 3)
            one = flat(u) @ flat(objective.hvp(theta, v))
            other = flat(v) @ flat(objective.hvp(theta, u))
        self.assertGreater(abs(one), 1e-3)
        self.assertAllClose(one, other, rtol=1e-9)


def drawn(like, seed: int) -> list[tf.Tensor]:
    generator = np.random.default_rng(seed)
    return [tf.constant(generator.normal(size=value.shape)) for value in like]


def flat(tensors) -> np.ndarray:
    return np.concatenate([np.ravel(tensor) for tensor in tensors])


if __name__ == "__main__":
    tf.test.main()
