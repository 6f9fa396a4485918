"""Clipping and noise: identities, bit-exactness, and the noise's distribution and independence."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_fullbatch.core import transforms, trees
from tf_fullbatch.core.names import CLIP_NORM_TYPES

SHAPES = ((3, 4), (5,), ())


def gradient(seed: int = 0, scale: float = 1.0, dtype: str = "float64") -> trees.Tree:
    """A gradient of three leaves."""
    generator = np.random.default_rng(seed)
    return [tf.constant(scale * generator.normal(size=shape), dtype) for shape in SHAPES]


def vector(x: trees.Tree) -> np.ndarray:
    """All entries of a tree, in order."""
    return trees.flatten(x).numpy()


def bits(x: trees.Tree) -> list[bytes]:
    """The leaves' memory, to compare to the bit."""
    return [leaf.numpy().tobytes() for leaf in x]


def norm(x: trees.Tree, norm_type: str) -> float:
    """The norm of all entries, by NumPy."""
    return float(np.linalg.norm(vector(x)) if norm_type == "l2" else np.abs(vector(x)).max())


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation."""
    return float(np.corrcoef(x, y)[0, 1])


class ClipByNormTest(tf.test.TestCase):
    @settings(deadline=None, max_examples=40)
    @given(
        seed=st.integers(0, 1000),
        scale=st.floats(1e-6, 1e6),
        clip_norm=st.floats(1e-3, 1e3),
        norm_type=st.sampled_from(CLIP_NORM_TYPES),
    )
    def test_formula(self, seed, scale, clip_norm, norm_type):
        g = gradient(seed, scale)
        v, n = vector(g), norm(g, norm_type)
        result = transforms.clip_by_norm(g, clip_norm, norm_type)
        self.assertAllClose(result.norm, np.linalg.norm(v), rtol=1e-14, atol=0)
        self.assertEqual(bool(result.clipped), n > clip_norm)
        if n > clip_norm:
            self.assertAllClose(vector(result.gradient), v * clip_norm / (n + 1e-6), rtol=1e-13, atol=0)
        else:
            self.assertEqual(bits(result.gradient), bits(g))

    @settings(deadline=None, max_examples=20)
    @given(seed=st.integers(0, 1000), norm_type=st.sampled_from(CLIP_NORM_TYPES))
    def test_clipped_norm_is_below_the_threshold_and_clipping_again_changes_nothing(self, seed, norm_type):
        once = transforms.clip_by_norm(gradient(seed, 10.0), 0.25, norm_type)
        twice = transforms.clip_by_norm(once.gradient, 0.25, norm_type)
        self.assertLessEqual(norm(once.gradient, norm_type), 0.25)
        self.assertGreater(norm(once.gradient, norm_type), 0.25 * (1 - 1e-6))
        self.assertFalse(bool(twice.clipped))
        self.assertEqual(bits(once.gradient), bits(twice.gradient))

    def test_at_the_threshold_nothing_changes(self):
        g = [tf.constant([3.0, -4.0])]
        self.assertFalse(bool(transforms.clip_by_norm(g, 5.0).clipped))
        self.assertFalse(bool(transforms.clip_by_norm(g, 4.0, "inf").clipped))
        self.assertTrue(bool(transforms.clip_by_norm(g, 4.0, "l2").clipped))

    def test_unclipped_is_the_same_to_the_bit_denormal_numbers_and_signed_zeros_included(self):
        g = [tf.constant([1e-40, -1e-42, -0.0, 0.5] * 8, tf.float32)]
        for clip_norm in (None, 100.0):
            compiled = tf.function(lambda x, c=clip_norm: transforms.clip_by_norm(x, c).gradient)
            self.assertEqual(bits(compiled(g)), bits(g))

    def test_none_measures_only(self):
        g = gradient(scale=100.0, dtype="float32")
        result = transforms.clip_by_norm(g, None, "inf")
        self.assertEqual(bits(result.gradient), bits(g))
        self.assertFalse(bool(result.clipped))
        self.assertAllClose(result.norm, np.linalg.norm(vector(g)))

    def test_zero_gradient(self):
        g = [tf.zeros([3]), tf.zeros([])]
        for norm_type in CLIP_NORM_TYPES:
            result = transforms.clip_by_norm(g, 0.25, norm_type)
            self.assertAllEqual(vector(result.gradient), np.zeros(4))
            self.assertEqual((float(result.norm), bool(result.clipped)), (0.0, False))

    def test_dtype_is_kept(self):
        for dtype in ("float32", "float64"):
            result = transforms.clip_by_norm(gradient(scale=9.0, dtype=dtype), 0.25, "inf")
            self.assertEqual({leaf.dtype.name for leaf in (*result.gradient, result.norm)}, {dtype})

    def test_wrong_values_are_refused(self):
        for clip_norm in (0.0, -1.0, float("nan")):
            with self.assertRaisesRegex(ValueError, "clip_norm"):
                transforms.clip_by_norm(gradient(), clip_norm)
        with self.assertRaisesRegex(ValueError, "'l1'"):
            transforms.clip_by_norm(gradient(), 1.0, "l1")


class LangevinNoiseTest(tf.test.TestCase):
    def noise(self, seed=1, step=0, sigma=1.0, size=40_000, dtype="float64"):
        zero = [tf.zeros([size], dtype), tf.zeros([size // 4, 4], dtype)]
        return [leaf.numpy().ravel() for leaf in transforms.add_langevin_noise(zero, sigma, seed, step)]

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
        compiled = tf.function(lambda g, step: transforms.add_langevin_noise(g, 0.1, 7, step))
        g = gradient(dtype="float32")
        eager = transforms.add_langevin_noise(g, 0.1, 7, 12)
        tf.random.normal([5])
        for step in (12, tf.constant(12), tf.constant(12, tf.int64)):
            self.assertEqual(bits(compiled(g, step)), bits(eager))

    def test_is_added_to_the_gradient(self):
        g = gradient()
        zero = trees.scale(0.0, g)
        noise = transforms.add_langevin_noise(zero, 2.0, 3, 4)
        self.assertAllClose(
            vector(transforms.add_langevin_noise(g, 2.0, 3, 4)),
            vector(g) + vector(noise),
            rtol=1e-15,
            atol=1e-15,
        )
        half = transforms.add_langevin_noise(zero, 1.0, 3, 4)
        self.assertAllEqual(vector(noise), 2 * vector(half))

    def test_zero_deviation_changes_nothing(self):
        g = gradient()
        self.assertEqual(bits(transforms.add_langevin_noise(g, 0.0, 1, 1)), bits(g))

    def test_a_negative_deviation_is_refused(self):
        with self.assertRaisesRegex(ValueError, "standard_deviation is -1"):
            transforms.add_langevin_noise(gradient(), -1.0, 1, 1)


class ListTest(tf.test.TestCase):
    """Transforms in a list."""

    def test_clipping_reports_the_norm_before_it(self):
        step, g = tf.constant(3, tf.int64), gradient(scale=10.0)
        for norm_type in CLIP_NORM_TYPES:
            expected = transforms.clip_by_norm(g, 0.25, norm_type)
            found, figures = transforms.clipping(0.25, norm_type)(g, step)
            self.assertEqual(bits(found), bits(expected.gradient))
            self.assertEqual(set(figures), {"gradient_norm", "clipped"})
            self.assertAllClose(figures["gradient_norm"], np.linalg.norm(vector(g)), rtol=1e-14, atol=0)
            self.assertTrue(bool(figures["clipped"]))

    def test_without_a_threshold_clipping_measures_only(self):
        g = gradient(scale=10.0)
        found, figures = transforms.clipping(None)(g, tf.constant(0, tf.int64))
        self.assertEqual(bits(found), bits(g))
        self.assertFalse(bool(figures["clipped"]))

    def test_noise_follows_the_step(self):
        g = gradient()
        for step in (0, 5):
            found, figures = transforms.langevin_noise(0.3, 7)(g, tf.constant(step, tf.int64))
            self.assertEqual(bits(found), bits(transforms.add_langevin_noise(g, 0.3, 7, step)))
            self.assertEqual(figures, {})

    def test_are_applied_in_their_order_and_give_their_figures_together(self):
        def add_one(g, step):
            return [leaf + 1 for leaf in g], {"added": step}

        def double(g, step):
            del step
            return trees.scale(2.0, g), {"doubled": trees.global_norm(g)}

        step, g = tf.constant(4, tf.int64), gradient()
        found, figures = transforms.apply_all([add_one, double], g, step)
        self.assertAllClose(vector(found), 2 * (vector(g) + 1), rtol=1e-15, atol=0)
        self.assertEqual(int(figures["added"]), 4)
        self.assertAllClose(figures["doubled"], np.linalg.norm(vector(g) + 1), rtol=1e-14, atol=0)
        other, _ = transforms.apply_all([double, add_one], g, step)
        self.assertAllClose(vector(other), 2 * vector(g) + 1, rtol=1e-15, atol=1e-15)

    def test_none_changes_nothing(self):
        g = gradient()
        found, figures = transforms.apply_all([], g, tf.constant(0, tf.int64))
        self.assertEqual((bits(found), figures), (bits(g), {}))


class SampleLossWeightsTest(tf.test.TestCase):
    def weights(self, seed=1, step=0, ids=None, sigma=1.0):
        ids = tf.range(40_000, dtype=tf.int64) if ids is None else ids
        return transforms.sample_loss_weights(seed, step, ids, sigma)

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
                self.assertLess(abs(correlation(x, y)), 5 / 200)

    @settings(deadline=None, max_examples=20)
    @given(order=st.permutations(range(30)), size=st.integers(1, 30))
    def test_depends_on_the_id_not_on_the_batch(self, order, size):
        ids = np.array(order[:size])
        whole = self.weights(step=5, ids=tf.range(30, dtype=tf.int64)).numpy()
        self.assertAllEqual(self.weights(step=5, ids=tf.constant(ids, tf.int64)), whole[ids])

    def test_in_a_graph(self):
        compiled = tf.function(lambda step, ids: transforms.sample_loss_weights(1, step, ids, 0.5))
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
            lambda step: transforms.sample_loss_weights(1, step, tf.range(size, dtype=tf.int64), sigma)
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
