"""Every family's Hessian products are the derivative of its gradient, in float64."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import tf_fullbatch
from tests.models.networks import CLASSES, built, float64, moved_off, pixels

STEP = 1e-4
SMOOTH = (
    ("vit_micro", {"width": 4}),
    ("convnext_micro", {"width": 4}),
    ("cnn", {"width": 3, "activation": "tanh", "pooling": "none"}),
    ("cnn", {"width": 3, "activation": "softplus", "pooling": "average"}),
)
"""With activations that are differentiable everywhere: a kink between the two gradients would be a difference."""


class SecondDerivativesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*SMOOTH)
    def test_products_are_differences_of_gradients(self, name: str, settings: dict):
        """Central differences of steps h and 2 h, extrapolated: what is left is of order h^4."""
        with float64():
            network = moved_off(built(name, **settings))
            labels = np.arange(6) % CLASSES
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            objective = tf_fullbatch.objective_of(network, pixels(6), labels, loss=loss, micro_batch_size=3)
            theta = [tf.identity(value) for value in objective.theta()]
            generator = np.random.default_rng(2)
            direction = [tf.constant(generator.normal(size=value.shape)) for value in theta]
            product = objective.hvp(theta, direction)

            def gradient(step: float) -> np.ndarray:
                moved = [value + step * along for value, along in zip(theta, direction, strict=True)]
                return flat(objective.value_and_gradient(moved).gradient)

            def difference(step: float) -> np.ndarray:
                return (gradient(step) - gradient(-step)) / (2 * step)

            expected = (4 * difference(STEP) - difference(2 * STEP)) / 3
        self.assertGreater(np.abs(expected).max(), 1e-3)
        self.assertAllClose(flat(product), expected, rtol=0, atol=1e-7 * np.abs(expected).max())


def flat(tensors) -> np.ndarray:
    return np.concatenate([np.ravel(tensor) for tensor in tensors])


if __name__ == "__main__":
    tf.test.main()
