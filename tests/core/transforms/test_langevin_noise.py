"""Langevin noise: its distribution, and of what it is a function."""

import numpy as np
import tensorflow as tf

from tests.core.transforms.gradients import bits, gradient, start_of, vector
from tf_fullbatch.core import trees
from tf_fullbatch.core.transforms.langevin_noise import add_langevin_noise, langevin_noise


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation."""
    return float(np.corrcoef(x, y)[0, 1])


class LangevinNoiseTest(tf.test.TestCase):
    def noise(self, seed=1, step=0, sigma=1.0, size=40_000, dtype="float64"):
        zero = [tf.zeros([size], dtype), tf.zeros([size // 4, 4], dtype)]
        return [leaf.numpy().ravel() for leaf in add_langevin_noise(zero, sigma, seed, step)]

    def test_is_standard_normal_times_sigma(self):
        for leaf in self.noise(sigma=0.3):
            z = leaf / 0.3
            # Five standard errors of the mean, variance, skewness and kurtosis of 40,000 normal numbers.
            self.assertLess(abs(z.mean()), 5 / 200)
            self.assertLess(abs(z.var() - 1), 5 * np.sqrt(2) / 200)
            self.assertLess(abs((z**3).mean()), 5 * np.sqrt(15) / 200)
            self.assertLess(abs((z**4).mean() - 3), 5 * np.sqrt(96) / 200)

    def test_leaves_steps_and_seeds_are_independent(self):
        draws = [*self.noise(), *self.noise(step=1), *self.noise(seed=2), *self.noise(seed=0, step=1)]
        for i, x in enumerate(draws):
            for y in draws[:i]:
                self.assertLess(abs(correlation(x, y)), 5 / 200)

    def test_is_a_function_of_seed_and_step(self):
        compiled = tf.function(lambda g, step: add_langevin_noise(g, 0.1, 7, step))
        g = gradient(dtype="float32")
        eager = add_langevin_noise(g, 0.1, 7, 12)
        tf.random.normal([5])
        for step in (12, tf.constant(12), tf.constant(12, tf.int64)):
            self.assertEqual(bits(compiled(g, step)), bits(eager))

    def test_is_added_to_the_gradient(self):
        g = gradient()
        zero = trees.scale(0.0, g)
        noise = add_langevin_noise(zero, 2.0, 3, 4)
        self.assertAllClose(
            vector(add_langevin_noise(g, 2.0, 3, 4)),
            vector(g) + vector(noise),
            rtol=1e-15,
            atol=1e-15,
        )
        half = add_langevin_noise(zero, 1.0, 3, 4)
        self.assertAllEqual(vector(noise), 2 * vector(half))

    def test_zero_deviation_changes_nothing(self):
        g = gradient()
        self.assertEqual(bits(add_langevin_noise(g, 0.0, 1, 1)), bits(g))

    def test_a_negative_deviation_is_refused(self):
        with self.assertRaisesRegex(ValueError, "standard_deviation is -1"):
            add_langevin_noise(gradient(), -1.0, 1, 1)

    def test_as_a_transform_it_follows_the_step(self):
        g = gradient()
        for step in (0, 5):
            found, figures = langevin_noise(0.3, 7)(g, start_of(g, step))
            self.assertEqual(bits(found), bits(add_langevin_noise(g, 0.3, 7, step)))
            self.assertEqual(figures, {})


if __name__ == "__main__":
    tf.test.main()
