"""Functions compiled once for data of any length."""

import gc
import weakref
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_fullbatch.core.traced_once import TracedOnce


class Held(NamedTuple):
    """Data of some length and a number."""

    rows: Any
    number: Any


class TracedOnceTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.traced = 0

    def counted(self, function):
        def noting(*arguments):
            self.traced += 1
            return function(*arguments)

        return TracedOnce(noting)

    def test_data_of_any_length_share_a_trace(self):
        total = self.counted(lambda held, factor: factor * tf.reduce_sum(held.rows) + held.number)
        for length in (3, 5, 0, 1):
            held = Held(tf.ones([length, 2]), tf.constant(0.5))
            self.assertEqual(float(total(held, tf.constant(10.0))), 20 * length + 0.5)
        self.assertEqual((self.traced, total.count), (1, 1))

    def test_numbers_are_arguments_and_not_part_of_the_trace(self):
        twice = self.counted(lambda held, factor: factor * held)
        for number, factor in ((1.0, 2.0), (3.0, 5.0)):
            self.assertEqual(float(twice(number, factor)), number * factor)
        self.assertEqual(self.traced, 1)

    @settings(deadline=None, max_examples=5)
    @given(count=st.integers(1, 25))
    def test_arguments_keep_their_order(self, count):
        # tf.function would sort names such as arg_10 before arg_2.
        given_ = TracedOnce(lambda held, *rest: tf.stack([held, *rest]))
        numbers = np.random.default_rng(count).integers(0, 1000, count)
        self.assertAllEqual(given_(*(tf.constant(n) for n in numbers)), numbers)

    def test_leaves_of_structures_keep_their_order_and_structure(self):
        def function(held, pair, listed):
            self.assertIsInstance(held, Held)
            self.assertIsInstance(pair, tuple)
            self.assertIsInstance(listed, list)
            return {"rows": held.rows, "number": held.number, "pair": pair, "listed": listed}

        leaves = [tf.constant(float(n)) for n in range(14)]
        found = TracedOnce(function)(Held(tf.range(3), leaves[0]), (leaves[1], leaves[2]), leaves[3:])
        self.assertAllEqual(found["rows"], [0, 1, 2])
        self.assertAllEqual([found["number"], *found["pair"], *found["listed"]], np.arange(14.0))

    def test_none_is_a_leaf_of_its_own(self):
        def function(held, first, second):
            return tf.reduce_sum(held) + sum(10.0 if x is None else x for x in (first, second))

        function = self.counted(function)
        one = tf.constant(1.0)
        for length in (2, 3):
            data = tf.zeros([length])
            self.assertEqual(float(function(data, None, one)), 11.0)
            self.assertEqual(float(function(data, one, None)), 11.0)
            self.assertEqual(float(function(data, one, one)), 2.0)
            self.assertEqual(float(function(data, None, None)), 20.0)
        self.assertEqual(self.traced, 4)

    def test_other_shapes_dtypes_and_structures_are_traced_anew(self):
        count = self.counted(lambda held, other: tf.size(held) + tf.size(tf.nest.flatten(other)[0]))
        for held, other in (
            (tf.zeros([3, 2]), tf.zeros([4])),
            (tf.zeros([3, 4]), tf.zeros([4])),  # further axes of what is held
            (tf.zeros([3]), tf.zeros([4])),  # their number
            (tf.zeros([3, 2], tf.float64), tf.zeros([4])),
            (tf.zeros([3, 2]), tf.zeros([5])),  # the length of what is not held
            (tf.zeros([3, 2]), [tf.zeros([4])]),
        ):
            before = self.traced
            expected = tf.size(held) + tf.size(tf.nest.flatten(other)[0])
            for _ in range(2):
                self.assertEqual(int(count(held, other)), int(expected))
            self.assertEqual(self.traced, before + 1)
        self.assertEqual(count.count, self.traced)

    def test_the_first_data_are_not_kept(self):
        # A run over a large set would else keep the memory of every set it was ever called with.
        function = TracedOnce(lambda held: tf.reduce_sum(held))
        data = tf.ones([1000])
        function(data)
        gone = weakref.ref(data)
        del data
        gc.collect()
        self.assertIsNone(gone())
        self.assertEqual(float(function(tf.ones([4]))), 4.0)


if __name__ == "__main__":
    tf.test.main()
