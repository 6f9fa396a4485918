"""Clipping by the norm: identities, and bits that stay."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.transforms.gradients import bits, gradient, start_of, vector
from tf_fullbatch.core import trees
from tf_fullbatch.core.names import CLIP_NORM_TYPES
from tf_fullbatch.core.transforms.clipping import clip_by_norm, clipping


def norm(x: trees.Tree, norm_type: str) -> float:
    """The norm of all entries, by NumPy."""
    return float(np.linalg.norm(vector(x)) if norm_type == "l2" else np.abs(vector(x)).max())


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
        result = clip_by_norm(g, clip_norm, norm_type)
        self.assertEqual(bool(result.clipped), n > clip_norm)
        if n > clip_norm:
            self.assertAllClose(vector(result.gradient), v * clip_norm / (n + 1e-6), rtol=1e-13, atol=0)
        else:
            self.assertEqual(bits(result.gradient), bits(g))

    @settings(deadline=None, max_examples=20)
    @given(seed=st.integers(0, 1000), norm_type=st.sampled_from(CLIP_NORM_TYPES))
    def test_clipped_norm_is_below_the_threshold_and_clipping_again_changes_nothing(self, seed, norm_type):
        once = clip_by_norm(gradient(seed, 10.0), 0.25, norm_type)
        twice = clip_by_norm(once.gradient, 0.25, norm_type)
        self.assertLessEqual(norm(once.gradient, norm_type), 0.25)
        self.assertGreater(norm(once.gradient, norm_type), 0.25 * (1 - 1e-6))
        self.assertFalse(bool(twice.clipped))
        self.assertEqual(bits(once.gradient), bits(twice.gradient))

    def test_at_the_threshold_nothing_changes(self):
        g = [tf.constant([3.0, -4.0])]
        self.assertFalse(bool(clip_by_norm(g, 5.0).clipped))
        self.assertFalse(bool(clip_by_norm(g, 4.0, "inf").clipped))
        self.assertTrue(bool(clip_by_norm(g, 4.0, "l2").clipped))

    def test_unclipped_is_the_same_to_the_bit_denormal_numbers_and_signed_zeros_included(self):
        g = [tf.constant([1e-40, -1e-42, -0.0, 0.5] * 8, tf.float32)]
        compiled = tf.function(lambda x: clip_by_norm(x, 100.0).gradient)
        self.assertEqual(bits(compiled(g)), bits(g))

    def test_zero_gradient(self):
        g = [tf.zeros([3]), tf.zeros([])]
        for norm_type in CLIP_NORM_TYPES:
            result = clip_by_norm(g, 0.25, norm_type)
            self.assertAllEqual(vector(result.gradient), np.zeros(4))
            self.assertEqual((float(result.factor), bool(result.clipped)), (1.0, False))

    def test_dtype_is_kept(self):
        for dtype in ("float32", "float64"):
            result = clip_by_norm(gradient(scale=9.0, dtype=dtype), 0.25, "inf")
            self.assertEqual({leaf.dtype.name for leaf in (*result.gradient, result.factor)}, {dtype})

    def test_wrong_values_are_refused(self):
        for clip_norm in (0.0, -1.0, float("nan")):
            with self.assertRaisesRegex(ValueError, "clip_norm"):
                clip_by_norm(gradient(), clip_norm)
        with self.assertRaisesRegex(ValueError, "'l1'"):
            clip_by_norm(gradient(), 1.0, "l1")

    def test_as_a_transform(self):
        g = gradient(scale=10.0)
        for norm_type in CLIP_NORM_TYPES:
            expected = clip_by_norm(g, 0.25, norm_type)
            found, figures = clipping(0.25, norm_type)(g, start_of(g))
            self.assertEqual(bits(found), bits(expected.gradient))
            self.assertEqual(set(figures), {"clipped", "clip_factor"})
            self.assertTrue(bool(figures["clipped"]))
            self.assertAllClose(
                figures["clip_factor"], 0.25 / (norm(g, norm_type) + 1e-6), rtol=1e-14, atol=0
            )
        found, figures = clipping(1e9)(g, start_of(g))
        self.assertEqual((bits(found), float(figures["clip_factor"])), (bits(g), 1.0))


if __name__ == "__main__":
    tf.test.main()
