"""Tests of tf_fullbatch.data.splits."""

import hashlib
import unittest

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_fullbatch.data.splits import _keys, split_train
from tf_fullbatch.errors import UserError

LABELS = st.lists(st.integers(0, 4), min_size=2, max_size=60)


def class_counts(labels, positions):
    return np.bincount(labels[positions], minlength=5)


class SplitTrainTest(unittest.TestCase):
    @settings(max_examples=150, deadline=None)
    @given(LABELS, st.data())
    def test_sizes_order_and_disjointness(self, labels, data):
        labels = np.array(labels)
        held_out = data.draw(st.integers(0, len(labels) - 1))
        size = data.draw(st.none() | st.integers(1, len(labels) - held_out))
        train, validation = split_train(labels, num_classes=5, train_size=size, validation_size=held_out)
        self.assertEqual(len(validation), held_out)
        self.assertEqual(len(train), len(labels) - held_out if size is None else size)
        self.assertEqual(train.dtype, np.int64)
        self.assertTrue((np.diff(train) > 0).all() and (np.diff(validation) > 0).all())
        self.assertFalse(set(train) & set(validation))
        self.assertTrue(set(train) | set(validation) <= set(range(len(labels))))

    @settings(max_examples=150, deadline=None)
    @given(LABELS, st.data())
    def test_nested_and_validation_independent_of_train_size(self, labels, data):
        labels = np.array(labels)
        held_out = data.draw(st.integers(0, len(labels) - 1))
        small, large = sorted(data.draw(st.integers(1, len(labels) - held_out)) for _ in range(2))
        first, second = (
            split_train(labels, num_classes=5, train_size=n, validation_size=held_out) for n in (small, large)
        )
        self.assertTrue(set(first[0]) <= set(second[0]))
        np.testing.assert_array_equal(first[1], second[1])
        fewer = data.draw(st.integers(0, held_out))
        _, smaller = split_train(labels, num_classes=5, train_size=None, validation_size=fewer)
        self.assertTrue(set(smaller) <= set(first[1]))

    @settings(max_examples=150, deadline=None)
    @given(LABELS, st.data())
    def test_balanced_while_classes_last(self, labels, data):
        labels = np.array(labels)
        held_out = data.draw(st.integers(0, len(labels) - 1))
        size = data.draw(st.integers(1, len(labels) - held_out))
        train, validation = split_train(labels, num_classes=5, train_size=size, validation_size=held_out)
        there = np.bincount(labels, minlength=5)
        for available, taken in (
            (there, class_counts(labels, validation)),
            (there - class_counts(labels, validation), class_counts(labels, train)),
        ):
            # A class that is behind the fullest by more than 1 must have been used up.
            behind = taken < taken.max() - 1
            np.testing.assert_array_equal(taken[behind], available[behind])

    def test_subset_is_spread_over_the_source(self):
        train, _ = split_train(np.zeros(10_000, int), num_classes=1, train_size=1000, validation_size=0)
        per_tenth = np.bincount(train // 1000, minlength=10)
        # Hypergeometric: mean 100, standard deviation about 9.
        self.assertTrue((abs(per_tenth - 100) < 40).all(), per_tenth)

    def test_same_in_every_version(self):
        labels = np.arange(1000) % 7
        train, validation = split_train(labels, num_classes=7, train_size=300, validation_size=100)
        digest = hashlib.sha256(np.concatenate([train, validation]).astype("<i8").tobytes()).hexdigest()
        # The value this function gave when it was first written: published splits must not move.
        self.assertEqual(digest[:16], "41257d858cb66ca6")

    def test_keys_against_splitmix64(self):
        def splitmix64(state):  # textbook, in Python's integers
            mask = 2**64 - 1
            z = state & mask
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
            return z ^ (z >> 31)

        expected = [splitmix64(20210929 + (i + 1) * 0x9E3779B97F4A7C15) for i in range(50)]
        self.assertEqual(_keys(50).tolist(), expected)

    def test_refuses_sizes_that_do_not_fit(self):
        labels = np.arange(10) % 2
        for train_size, validation_size, flag, left in (
            (11, 0, "--train_size=11", "10"),
            (6, 5, "--train_size=6", "5"),
            (0, 0, "--train_size=0", "10"),
            (None, 10, "--validation_size=10", "9"),
            (None, -1, "--validation_size=-1", "9"),
        ):
            with self.assertRaises(UserError) as caught:
                split_train(labels, num_classes=2, train_size=train_size, validation_size=validation_size)
            self.assertIn(flag, str(caught.exception))
            self.assertIn(left, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))

    def test_refuses_labels_out_of_range(self):
        for labels in (np.array([0, 3]), np.array([-1, 0]), np.zeros((2, 2), int)):
            with self.assertRaisesRegex(ValueError, "0..2"):
                split_train(labels, num_classes=3, train_size=None, validation_size=0)
