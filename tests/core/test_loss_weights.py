"""Random weights of samples' losses: their distribution, and of what they are a function."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_fullbatch.core.loss_weights import sample_loss_weights


class SampleLossWeightsTest(tf.test.TestCase):
    def weights(self, seed=1, step=0, ids=None, sigma=1.0):
        ids = tf.range(40_000, dtype=tf.int64) if ids is None else ids
        return sample_loss_weights(seed, step, ids, sigma)

    def test_is_normal_around_one(self):
        z = (self.weights(sigma=0.5).numpy().astype("float64") - 1) / 0.5
        self.assertLess(abs(z.mean()), 5 / 200)
        self.assertLess(abs(z.var() - 1), 5 * np.sqrt(2) / 200)
        self.assertLess(abs((z**3).mean()), 5 * np.sqrt(15) / 200)
        self.assertLess(abs((z**4).mean() - 3), 5 * np.sqrt(96) / 200)
        self.assertAllInRange(np.abs(z), 0, 6.7)

    def test_samples_steps_and_seeds_are_independent(self):
        draws = [self.weights().numpy(), self.weights(step=1).numpy(), self.weights(seed=2).numpy()]
        draws.append(np.roll(draws[0], 1))
        for i, x in enumerate(draws):
            for y in draws[:i]:
                self.assertLess(abs(np.corrcoef(x, y)[0, 1]), 5 / 200)

    @settings(deadline=None, max_examples=20)
    @given(order=st.permutations(range(30)), size=st.integers(1, 30))
    def test_depends_on_the_id_not_on_the_batch(self, order, size):
        ids = np.array(order[:size])
        whole = self.weights(step=5, ids=tf.range(30, dtype=tf.int64)).numpy()
        self.assertAllEqual(self.weights(step=5, ids=tf.constant(ids, tf.int64)), whole[ids])

    def test_in_a_graph(self):
        compiled = tf.function(lambda step, ids: sample_loss_weights(1, step, ids, 0.5))
        ids = tf.constant([4, 2, 2**40], tf.int64)
        self.assertAllEqual(compiled(tf.constant(3, tf.int64), ids), self.weights(step=3, ids=ids, sigma=0.5))
        self.assertEqual(compiled(tf.constant(3, tf.int64), ids).dtype, tf.float32)

    def test_zero_deviation_gives_ones(self):
        self.assertAllEqual(self.weights(sigma=0.0), np.ones(40_000))

    def test_noise_has_the_covariance_of_the_formula(self):
        # One parameter, per-sample gradients g_n: var(1/M sum z_n g_n) = sigma^2 / M * mean(g_n^2).
        size, sigma, steps = 50, 2.0, 2000
        per_sample = np.random.default_rng(0).normal(size=size)
        compiled = tf.function(
            lambda step: sample_loss_weights(1, step, tf.range(size, dtype=tf.int64), sigma)
        )
        noisy = [np.mean(compiled(tf.constant(step, tf.int64)) * per_sample) for step in range(steps)]
        expected = sigma**2 / size * np.mean(per_sample**2)
        self.assertLess(abs(np.var(noisy) / expected - 1), 5 * np.sqrt(2 / steps))
        self.assertLess(abs(np.mean(noisy) - per_sample.mean()), 5 * np.sqrt(expected / steps))

    def test_a_negative_deviation_is_refused(self):
        with self.assertRaisesRegex(ValueError, "standard_deviation is -1"):
            self.weights(sigma=-1.0)


if __name__ == "__main__":
    tf.test.main()
