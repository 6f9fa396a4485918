"""Batches of every kind as arrays in memory."""

from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.data import collect
from tf_fullbatch.data.collect import Samples, collected, split_off, with_class_weight
from tf_fullbatch.errors import UserError

X = np.arange(20.0).reshape(10, 2)
Y = np.arange(10)


class Endless(keras.utils.PyDataset):
    """A batch without end, or as many as are said."""

    def __init__(self, count: int | None = None):
        super().__init__()
        self.count = count

    @property
    def num_batches(self) -> int | None:
        return self.count

    def __getitem__(self, index: int) -> tuple:
        return X[index : index + 1], Y[index : index + 1]


class CollectedTest(tf.test.TestCase, parameterized.TestCase):
    def test_arrays_pass(self) -> None:
        given = Samples({"a": X}, [Y, Y], None)
        found = collected(*given)
        self.assertAllEqual(found.inputs["a"], X)
        self.assertAllEqual(found.targets, (Y, Y))
        self.assertIsNone(found.weights)
        lists = collected({"a": X.tolist()}, Y.tolist())
        self.assertAllEqual(lists.inputs["a"], X)
        self.assertAllEqual(split_off(lists, 0.5)[1].targets, Y[5:])
        with self.assertRaisesRegex(UserError, "x is given as arrays, and steps=3"):
            collected(X, Y, steps=3, steps_name="steps")

    def test_batches_of_one_two_and_three_parts(self) -> None:
        for parts in ((X,), (X, Y), (X, Y, Y / 2)):
            data = tf.data.Dataset.from_tensor_slices(parts).batch(4)
            self.assertAllEqual(collected(data).inputs, X)
            for found, expected in zip(collected(data), [*parts, None, None], strict=False):
                if expected is None:
                    self.assertIsNone(found)
                else:
                    self.assertAllEqual(found, expected)

    def test_structures_stay(self) -> None:
        data = tf.data.Dataset.from_tensor_slices(({"a": X, "b": (Y, X)}, (Y, Y))).batch(3)
        found = collected(data)
        tf.nest.assert_same_structure(found.inputs, {"a": X, "b": (Y, X)})
        self.assertAllEqual(found.inputs["b"][1], X)
        self.assertAllEqual(found.targets, (Y, Y))

    def test_as_many_as_are_said(self) -> None:
        for data in (Endless(), Endless(8), ((X[i : i + 1], Y[i : i + 1]) for i in range(10))):
            self.assertAllEqual(collected(data, steps=4).targets, Y[:4])
        self.assertAllEqual(collected(Endless(3), steps=4).targets, Y[:3])
        data = iter([(X, Y)] * 4)
        collected(data, steps=2)
        self.assertLen(list(data), 2)

    @parameterized.parameters(
        (lambda: Endless(), "Endless without end.*by steps_per_epoch"),
        (lambda: tf.data.Dataset.from_tensors((X, Y)).repeat(), "without end.*leave out .repeat"),
        (lambda: tf.data.Dataset.from_tensor_slices((X, Y)), "single samples, not batches: add .batch"),
        (
            lambda: tf.data.Dataset.from_tensors((X, tf.ragged.constant([[1], [1, 2]]))),
            "RaggedTensor: pad it",
        ),
        (lambda: iter([]), "gives no batch"),
        (lambda: iter([(X, Y, Y, Y)]), "batches of 4 parts"),
        (
            lambda: iter([(X, Y), (X, Y, Y)]),
            "Some batches of validation_data have targets or weights, others none",
        ),
        (lambda: iter([(X, Y, Y), (X, Y)]), "others none"),
        (lambda: iter([(X, Y), (X[:, :1], Y)]), "do not fit together"),
        (lambda: iter([(X, Y), ([X, X], Y)]), "do not fit together"),
    )
    def test_what_is_refused(self, data: Any, words: str) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            collected(data(), name="validation_data")
        self.assertIn("validation_data", str(caught.exception))
        self.assertLen(str(caught.exception).splitlines(), 1)

    def test_targets_beside_batches(self) -> None:
        with self.assertRaisesRegex(UserError, "which gives targets and weights itself"):
            collected(Endless(2), Y)

    def test_more_than_memory(self) -> None:
        memory = mock.Mock(available=1000)
        with (
            mock.patch.object(collect.psutil, "virtual_memory", return_value=memory),
            self.assertRaisesRegex(UserError, "after 3 batches, 80% of the free memory"),
        ):
            collected((X, Y) for _ in iter(int, 1))


class SplitTest(tf.test.TestCase, parameterized.TestCase):
    def test_the_last_validate(self) -> None:
        train, validation = split_off(Samples([X, X], Y, Y / 2), 0.25)
        self.assertAllEqual((train.targets, train.weights), (Y[:7], Y[:7] / 2))
        self.assertAllEqual(validation.inputs[1], X[7:])
        self.assertIsNone(split_off(Samples(X, Y, None), 0.5)[0].weights)

    @parameterized.parameters(0.99, 1.0, -0.5, 2.0)
    def test_shares_that_leave_none(self, share: float) -> None:
        with self.assertRaisesRegex(UserError, f"validation_split={share} of 10 samples leaves none"):
            split_off(Samples(X, Y, None), share)


class ClassWeightTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters((Y % 3,), ((Y % 3)[:, None],), (np.eye(3)[Y % 3],))
    def test_by_number_column_or_one_hot(self, targets: np.ndarray) -> None:
        found = with_class_weight(Samples(X, targets, None), {0: 2.0, 2: 0.5})
        self.assertAllEqual(found.weights, np.array([2.0, 1.0, 0.5])[Y % 3])

    def test_none_changes_nothing(self) -> None:
        self.assertIsNone(with_class_weight(Samples(X, Y, None), None).weights)

    @parameterized.parameters(
        (Samples(X, Y, Y), {0: 1.0}, "cannot be given together"),
        (Samples(X, [Y, Y], None), {0: 1.0}, "for one output"),
        (Samples(X, X[..., None], None), {0: 1.0}, "one class per sample"),
        (Samples(X, Y, None), [1.0], "give a dictionary"),
    )
    def test_what_is_refused(self, samples: Samples, weights: Any, words: str) -> None:
        with self.assertRaisesRegex(UserError, words):
            with_class_weight(samples, weights)


if __name__ == "__main__":
    tf.test.main()
