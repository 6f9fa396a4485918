"""Sums over micro-batches, on the default strategy; tests/training/test_replicas.py has several replicas."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_fullbatch.core.full_pass import Sums

SHAPES = ((2, 3), (), (4,))


def trees(count: int, dtype: str = "float64") -> list[list[tf.Tensor]]:
    generator = np.random.default_rng(0)
    return [[tf.constant(generator.normal(size=shape), dtype) for shape in SHAPES] for _ in range(count)]


def empty(dtype: str = "float64") -> Sums:
    return Sums(trees(1)[0], dtype, tf.distribute.get_strategy())


class SumsTest(tf.test.TestCase):
    @settings(deadline=None, max_examples=20)
    @given(weights=st.lists(st.integers(0, 200), max_size=6))
    def test_are_the_weighted_sums_and_the_count(self, weights):
        sums, values = empty(), trees(len(weights))
        for weight, tree in zip(weights, values, strict=True):
            sums.add(tf.constant(weight), tree)
        totals, count, stops = sums.reduced(tf.constant(1.0))
        self.assertEqual((float(count), float(stops)), (sum(weights), 1.0))
        for i, shape in enumerate(SHAPES):
            expected = sum((w * t[i].numpy() for w, t in zip(weights, values, strict=True)), np.zeros(shape))
            self.assertAllClose(totals[i], expected, rtol=1e-14, atol=1e-13)

    def test_clear_forgets(self):
        sums, (first, second) = empty(), trees(2)
        sums.add(tf.constant(3), first)
        sums.clear()
        sums.add(tf.constant(1), second)
        totals, count, stops = sums.reduced(tf.constant(0.0))
        self.assertEqual((float(count), float(stops)), (1.0, 0.0))
        for total, value in zip(totals, second, strict=True):
            self.assertAllEqual(total, value)

    def test_clear_forgets_what_is_not_finite(self):
        sums = empty()
        sums.add(tf.constant(1), [tf.fill(shape, tf.constant(np.nan, tf.float64)) for shape in SHAPES])
        sums.clear()
        self.assertAllEqual(sums.reduced(tf.constant(0.0))[0][0], np.zeros((2, 3)))

    def test_dtype_is_that_of_the_sums_whatever_is_added(self):
        # 1 + 2^-30 is lost in float32, and kept where float32 values are summed in float64.
        for dtype, kept in (("float32", 0.0), ("float64", 2.0**-30)):
            sums = Sums([tf.zeros([])], dtype, tf.distribute.get_strategy())
            for value in (1.0, 2.0**-30):
                sums.add(tf.constant(1), [tf.constant(value, tf.float32)])
            (total,), _, _ = sums.reduced(tf.constant(0.0))
            self.assertEqual(total.dtype.name, dtype)
            self.assertEqual(float(total) - 1, kept)

    def test_half_precision_values_are_weighted_in_the_sums_precision(self):
        # 3 * 1.0078125 is no bfloat16.
        sums = Sums([tf.zeros([])], "float32", tf.distribute.get_strategy())
        sums.add(tf.constant(3), [tf.constant(1.0078125, tf.bfloat16)])
        self.assertEqual(float(sums.reduced(tf.constant(0.0))[0][0]), 3.0234375)

    def test_counts_every_sample_of_a_large_data_set(self):
        sums = Sums([], "float32", tf.distribute.get_strategy())
        for _ in range(3):
            sums.add(tf.constant(2**22 + 1), [])
        self.assertEqual(int(sums.reduced(tf.constant(0.0))[1]), 3 * (2**22 + 1))

    def test_trees_of_another_length_are_refused(self):
        with self.assertRaises(ValueError):
            empty().add(tf.constant(1), trees(1)[0][:-1])


if __name__ == "__main__":
    tf.test.main()
