"""Data sets: names that are refused, the digits, selections."""

import dataclasses
import hashlib
import subprocess
import sys
import tracemalloc
import unittest
from unittest import mock

import numpy as np

from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.data.sources.dataset import Dataset, Split, in_order
from tf_fullbatch.errors import UserError


class NamesTest(unittest.TestCase):
    def refusal(self, name, **settings):
        with self.assertRaises(UserError) as caught:
            DataConfig.of(dataset=name, **settings).load()
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def test_unknown_names(self):
        self.assertIn("did you mean cifar10 or", self.refusal("cifra10"))
        self.assertIn("did you mean cifar10 or", self.refusal("CIFAR-10"))
        self.assertIn("did you mean digits?", self.refusal("digit"))
        self.assertIn("tensorflow.org/datasets", self.refusal("qqqq/qqqq"))
        self.assertIn("config and version", self.refusal("cifar10:1.2.3"))

    def test_kind_is_known_before_any_download(self):
        self.assertIn("not one of image or text classification", self.refusal("iris"))

    def test_data_dir(self):
        for bad in ("/no/such/folder", __file__):
            self.assertIn(f"--data_dir={bad} is not a folder", self.refusal("cifar10", data_dir=bad))

    def test_image_size(self):
        self.assertIn("--image_size=0", self.refusal("cifar10", image_size=0))
        self.assertIn("--image_size=32: the digits are 8x8", self.refusal("digits", image_size=32))


class ClassesTest(unittest.TestCase):
    def test_samples_of_other_classes_are_left_out(self):
        whole = DataConfig.of(dataset="digits").load()
        found = DataConfig.of(dataset="digits", classes="3").load()
        self.assertEqual(found.num_classes, 3)
        for split in ("train", "test"):
            every, some = getattr(whole, split), getattr(found, split)
            kept = np.isin(every.targets, (0, 1, 2))
            self.assertEqual(some.num_classes, 3)
            np.testing.assert_array_equal(some.inputs, every.inputs[kept])
            np.testing.assert_array_equal(some.targets, every.targets[kept])
            np.testing.assert_array_equal(some.sample_ids, every.sample_ids[kept])

    def test_listed_classes_are_numbered_in_the_order_of_the_list(self):
        whole = DataConfig.of(dataset="digits").load()
        found = DataConfig.of(dataset="digits", classes="7,3").load()
        self.assertEqual(found.num_classes, 2)
        for split in ("train", "test"):
            every, some = getattr(whole, split), getattr(found, split)
            kept = (every.targets == 7) | (every.targets == 3)
            np.testing.assert_array_equal(some.inputs, every.inputs[kept])
            np.testing.assert_array_equal(some.targets, np.where(every.targets[kept] == 7, 0, 1))
            np.testing.assert_array_equal(some.sample_ids, every.sample_ids[kept])

    def test_by_name(self):
        whole = DataConfig.of(dataset="digits").load()
        named = dataclasses.replace(whole, class_names=tuple("abcdefghij"))
        by_number, by_name = named.of_classes("7,3"), named.of_classes("h, d")
        np.testing.assert_array_equal(by_name.train.sample_ids, by_number.train.sample_ids)
        np.testing.assert_array_equal(by_name.train.targets, by_number.train.targets)
        self.assertEqual(by_name.class_names, ("h", "d"))
        for value, words in (
            ("h,dd", "has no class 'dd'; accepted are the numbers 0 to 9 and the names a, b, .*, j.$"),
            ("h,7", "a class comes twice, by its number and its name"),
        ):
            with self.assertRaisesRegex(UserError, words):
                named.of_classes(value)

    def test_refused(self):
        for value, words in (
            ("1", "--classes=1: give how many of the first classes, at least 2"),
            ("cat", "--classes=cat: give how many"),
            ("3,3", "--classes=3,3: give how many"),
            ("3,", "--classes=3,: give how many"),
            ("11", "--dataset=digits has 10 classes; accepted are 2 to 10"),
            ("3,10", "--dataset=digits has no class '10'; accepted are the numbers 0 to 9"),
            ("3,cat", "--dataset=digits has no class 'cat'; accepted are the numbers 0 to 9"),
        ):
            with self.assertRaisesRegex(UserError, words):
                DataConfig.of(dataset="digits", classes=value).load()
        numbers = np.zeros((4, 2), np.float32)
        regression = Dataset(name="FILE.npz", train=in_order(numbers, numbers, 2), test=None, test_split=None)
        with self.assertRaisesRegex(
            UserError, r"--classes=2: the targets of --dataset=FILE.npz are float32\[2\]"
        ):
            regression.of_classes("2")

    def test_how_many_is_not_known_before(self):
        self.assertEqual(DataConfig.of(dataset="digits").count_training_samples(), 1347)
        self.assertIsNone(DataConfig.of(dataset="digits", classes="3").count_training_samples())


class DigitsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.digits = DataConfig.of(dataset="digits", image_size=8).load()

    def test_sizes(self):
        self.assertEqual((len(self.digits.train), len(self.digits.test)), (1347, 450))
        self.assertEqual((self.digits.train.inputs.shape[1:], self.digits.num_classes), ((8, 8, 1), 10))
        np.testing.assert_array_equal(np.bincount(self.digits.test.targets), np.full(10, 45))
        np.testing.assert_array_equal(self.digits.train.sample_ids, np.arange(1347))

    def test_values(self):
        values = np.unique(self.digits.train.inputs)
        np.testing.assert_array_equal(values, np.floor(np.arange(17) * 255 / 16 + 0.5))

    def test_same_in_every_version(self):
        digest = hashlib.sha256()
        for part in (self.digits.train, self.digits.test):
            digest.update(part.inputs.tobytes())
            digest.update(part.targets.astype("<i4").tobytes())
        # The value of the first version: results on the digits compare only while it holds.
        self.assertEqual(digest.hexdigest()[:16], "f8d565a70d509c19")

    def test_parts_make_up_the_whole(self):
        from sklearn import datasets

        scaled = np.floor(datasets.load_digits().images * 255 / 16 + 0.5).astype(np.uint8)
        theirs = sorted(image.tobytes() for image in scaled)
        ours = sorted(i.tobytes() for part in (self.digits.train, self.digits.test) for i in part.inputs)
        self.assertEqual(ours, theirs)

    def test_needs_no_tensorflow(self):
        script = (
            "import sys; from tf_fullbatch.data.settings import DataConfig; DataConfig().load(); "
            "print([m for m in ('tensorflow', 'tensorflow_datasets') if m in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.strip(), "[]")


class SplitTest(unittest.TestCase):
    def test_select(self):
        part = DataConfig(dataset="digits").load().train.select(np.array([5, 2, 900]))
        np.testing.assert_array_equal(part.sample_ids, [5, 2, 900])
        whole = DataConfig(dataset="digits").load().train
        np.testing.assert_array_equal(part.inputs[2], whole.inputs[900])
        self.assertEqual((part.targets[1], part.num_classes), (whole.targets[2], 10))

    def test_keep_is_select_without_a_second_copy(self):
        rng = np.random.default_rng(0)
        for count in (1, 7, 500):
            positions = np.sort(rng.choice(500, count, replace=False))
            inputs = rng.integers(0, 256, (500, 64, 64, 3)).astype(np.uint8)
            whole = in_order(inputs, np.arange(500, dtype=np.int32), 500)
            chosen = whole.select(positions)
            with mock.patch("tf_fullbatch.data.sources.dataset._MOVED_BYTES", 100_000):  # 8 images at a time
                tracemalloc.start()
                kept = whole.keep(positions)
                _, peak = tracemalloc.get_traced_memory()
                tracemalloc.stop()
            for name in ("inputs", "targets", "sample_ids"):
                np.testing.assert_array_equal(getattr(kept, name), getattr(chosen, name))
            self.assertLess(peak, 300_000)
            self.assertTrue(np.shares_memory(kept.inputs, inputs))
        inputs.flags.writeable = False
        kept = in_order(inputs, np.arange(500, dtype=np.int32), 500).keep(np.array([3, 9]))
        np.testing.assert_array_equal(kept.inputs, inputs[[3, 9]])

    def test_refuses_other_arrays(self):
        good = {
            "inputs": np.zeros((2, 3, 3, 1), np.uint8),
            "targets": np.zeros(2, np.int32),
            "sample_ids": np.arange(2, dtype=np.int64),
        }
        self.assertTrue(Split(**good, num_classes=1).are_images)
        for inputs in (
            np.zeros((2, 3), np.uint8),
            np.zeros((2, 3, 3, 1), np.float32),
            np.zeros((2, 5), np.int32),
        ):
            self.assertFalse(Split(**good | {"inputs": inputs}, num_classes=1).are_images)
        for field, bad in (
            ("inputs", np.zeros((2, 3, 3, 1), np.float64)),
            ("inputs", np.zeros(2, np.float32)),
            ("targets", np.zeros(3, np.int32)),
            ("sample_ids", np.zeros((2, 1), np.int64)),
        ):
            with self.assertRaisesRegex(ValueError, field):
                Split(**good | {field: bad}, num_classes=1)


if __name__ == "__main__":
    unittest.main()
