"""Controls against their formulas in NumPy, by (seed, id) alone, in their order, and what they refuse."""

import dataclasses
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import numpy as np

from tf_fullbatch.data.controls.apply import Controlled, controlled
from tf_fullbatch.data.controls.duplicates import COPY, source_ids
from tf_fullbatch.data.controls.gaussian import gaussian_like
from tf_fullbatch.data.controls.labels import noisy_labels
from tf_fullbatch.data.controls.leave_out import left_out_ids
from tf_fullbatch.data.controls.pixels import shuffled_pixels
from tf_fullbatch.data.controls.settings import CLEAN, NOISY, ControlConfig
from tf_fullbatch.data.draws import drawn_bits, uniforms
from tf_fullbatch.data.input_statistics import input_statistics
from tf_fullbatch.data.sources.dataset import Split, in_order
from tf_fullbatch.errors import UserError

_CLASSES = 10


def split(samples: int, first: int = 0, shape: tuple[int, ...] = (4, 4, 3)) -> Split:
    rng = np.random.default_rng(first)
    inputs = rng.integers(0, 256, (samples, *shape), np.uint8)
    targets = rng.integers(0, _CLASSES, samples, np.int32)
    ids = np.arange(first, first + samples, dtype=np.int64)
    return dataclasses.replace(in_order(inputs, targets, _CLASSES), sample_ids=ids)


def applied(samples: Controlled, *, seed: int = 0, held_out: bool = True, **flags: object) -> Controlled:
    return controlled(ControlConfig.of(**flags), samples, seed=seed, source=samples.train, held_out=held_out)


def three() -> Controlled:
    return Controlled(split(60), split(20, first=100), split(30))


class LabelNoiseTest(unittest.TestCase):
    def noisy(self, count: int, p: float, convention: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        labels = np.random.default_rng(1).integers(0, _CLASSES, count, np.int32)
        ids = np.arange(count)
        return labels, noisy_labels(labels, ids, _CLASSES, seed=seed, probability=p, convention=convention)

    def test_formula_of_both_conventions(self):
        for convention in ("uniform", "other"):
            labels, found = self.noisy(500, 0.3, convention)
            drawn = uniforms(drawn_bits(0, "label_noise", np.arange(500), 2)).tolist()
            for label, new, (u, v) in zip(labels.tolist(), found.tolist(), drawn, strict=True):
                if u >= 0.3:
                    expected = label
                elif convention == "uniform":
                    expected = int(_CLASSES * v)
                else:
                    expected = [k for k in range(_CLASSES) if k != label][int((_CLASSES - 1) * v)]
                self.assertEqual(new, expected)
            self.assertEqual(found.dtype, labels.dtype)

    def test_flip_rate_and_classes_within_binomial_bounds(self):
        count = 50_000
        for convention, p, rate in (
            ("uniform", 0.4, 0.36),
            ("uniform", 1.0, 0.9),
            ("other", 0.4, 0.4),
            ("other", 1.0, 1.0),
        ):
            labels, found = self.noisy(count, p, convention)
            wrong = found != labels
            bound = 4 * np.sqrt(rate * (1 - rate) / count)
            self.assertLessEqual(abs(wrong.mean() - rate), bound, (convention, p))
            shift = np.bincount((found - labels)[wrong] % _CLASSES, minlength=_CLASSES)
            self.assertEqual(shift[0], 0)
            expected = wrong.sum() / (_CLASSES - 1)
            self.assertLess(np.abs(shift[1:] - expected).max(), 4.5 * np.sqrt(expected))

    def test_more_noise_keeps_what_less_noise_did(self):
        labels, less = self.noisy(2000, 0.2, "other")
        _, more = self.noisy(2000, 0.4, "other")
        changed = less != labels
        np.testing.assert_array_equal(more[changed], less[changed])
        self.assertGreater((more != labels).sum(), changed.sum())

    def test_extremes(self):
        for convention in ("uniform", "other"):
            labels, none = self.noisy(300, 0.0, convention)
            np.testing.assert_array_equal(none, labels)
        two = np.array([0, 1, 1], np.int32)
        flipped = noisy_labels(two, np.arange(3), 2, seed=0, probability=1.0, convention="other")
        np.testing.assert_array_equal(flipped, 1 - two)

    def test_a_samples_fate_is_its_own(self):
        whole = applied(three(), label_noise=0.5)
        train = three().train
        some = np.array([50, 7, 8, 30])
        part = applied(Controlled(train.select(some), None, None), label_noise=0.5)
        np.testing.assert_array_equal(part.train.targets, whole.train.targets[some])
        np.testing.assert_array_equal(applied(three(), label_noise=0.5).train.targets, whole.train.targets)
        other = applied(three(), label_noise=0.5, seed=1)
        self.assertTrue((other.train.targets != whole.train.targets).any())

    def test_whose_labels(self):
        before = three()
        noisy = applied(before, label_noise=0.9)
        self.assertTrue((noisy.validation.targets != before.validation.targets).any())
        np.testing.assert_array_equal(noisy.test.targets, before.test.targets)
        np.testing.assert_array_equal(noisy.clean_targets, before.train.targets)
        for kept in (
            applied(before, label_noise=0.9, noisy_validation=False),
            applied(before, label_noise=0.9, held_out=False),
        ):
            np.testing.assert_array_equal(kept.validation.targets, before.validation.targets)

    def test_random_labels_are_uniform_noise_of_1(self):
        random, noise = applied(three(), random_labels=True), applied(three(), label_noise=1.0)
        np.testing.assert_array_equal(random.train.targets, noise.train.targets)

    def test_changed_samples_by_both_labels(self):
        before = three()
        found = applied(before, label_noise=0.5)
        changed = np.flatnonzero(found.train.targets != before.train.targets)
        self.assertGreater(len(changed), 10)
        parts = found.changed()
        for name, labels in ((NOISY, found.train.targets), (CLEAN, before.train.targets)):
            np.testing.assert_array_equal(parts[name].sample_ids, changed)
            np.testing.assert_array_equal(parts[name].targets, labels[changed])
            np.testing.assert_array_equal(parts[name].inputs, before.train.inputs[changed])
        self.assertEqual(before.changed(), {})
        self.assertEqual(applied(before, label_noise=1e-9).changed(), {})

    def test_what_is_said(self):
        (note,) = applied(three(), label_noise=0.5).notes
        wrong = (applied(three(), label_noise=0.5).train.targets != three().train.targets).sum()
        self.assertIn("with probability 0.5 from all 10 classes (wrong with 0.45)", note)
        self.assertIn(f"{wrong} of 60 training labels are others now", note)
        (note,) = applied(three(), label_noise=0.5, label_noise_convention="other").notes
        self.assertIn("from the other classes (wrong with 0.5)", note)

    def test_refused(self):
        numbers = np.zeros((4, 2), np.float32)
        regression = Controlled(in_order(numbers, numbers, 2), None, None)
        one_class = Controlled(in_order(numbers, np.zeros(4, np.int32), 1), None, None)
        for samples, words in ((regression, r"float32\[2\]"), (one_class, "several classes")):
            for flags, name in (
                ({"label_noise": 0.1}, "label_noise"),
                ({"random_labels": True}, "random_labels"),
            ):
                with self.assertRaisesRegex(UserError, f"--{name}: .*{words}"):
                    applied(samples, **flags)
        for flags, words in (
            ({"label_noise": 1.5}, "--label_noise=1.5: must be at most 1"),
            ({"label_noise": -0.1}, "--label_noise=-0.1: must be at least 0"),
            ({"label_noise": 0.1, "random_labels": True}, "--random_labels with --label_noise=0.1"),
            ({"label_noise_convention": "other"}, "has no effect without --label_noise"),
            ({"noisy_validation": False}, "has no effect without --label_noise or --random_labels"),
        ):
            with self.assertRaisesRegex(UserError, words):
                ControlConfig.of(**flags)


class PixelsTest(unittest.TestCase):
    def test_one_permutation_of_all_splits(self):
        before = three()
        after = applied(before, pixel_shuffle="fixed")
        order = np.argsort(drawn_bits(0, "pixel_shuffle", np.zeros(1, np.int64), 16)[0])
        self.assertTrue((order != np.arange(16)).any())
        for name in ("train", "validation", "test"):
            old, new = getattr(before, name).inputs, getattr(after, name).inputs
            np.testing.assert_array_equal(new.reshape(-1, 16, 3), old.reshape(-1, 16, 3)[:, order])

    def test_each_sample_by_its_own(self):
        before = three()
        after = applied(before, pixel_shuffle="per_sample")
        orders = {}
        for name, ids_of in (("train", "train"), ("validation", "train"), ("test", "test")):
            old, new = getattr(before, name), getattr(after, name)
            for row, sample in enumerate(old.sample_ids):
                keys = drawn_bits(0, f"pixel_shuffle of {ids_of}", np.array([sample]), 16)[0]
                expected = old.inputs[row].reshape(16, 3)[np.argsort(keys)]
                np.testing.assert_array_equal(new.inputs[row].reshape(16, 3), expected)
                orders[name, sample] = tuple(np.argsort(keys))
        self.assertEqual(len(set(orders.values())), len(orders))

    def test_numbers_without_image_axes(self):
        rows = np.arange(12, dtype=np.float32).reshape(2, 6)
        found = shuffled_pixels(rows, np.arange(2), seed=0, kind="fixed", split="train")
        np.testing.assert_array_equal(np.sort(found, axis=1), rows)
        np.testing.assert_array_equal(found[1] - found[0], np.full(6, 6))

    def test_chunks_change_nothing(self):
        whole = split(40)
        found = shuffled_pixels(whole.inputs, whole.sample_ids, seed=2, kind="per_sample", split="train")
        with unittest.mock.patch("tf_fullbatch.data.controls.pixels._CHUNK_PLACES", 16 * 7):
            parts = shuffled_pixels(whole.inputs, whole.sample_ids, seed=2, kind="per_sample", split="train")
        np.testing.assert_array_equal(found, parts)


class GaussianTest(unittest.TestCase):
    def test_box_muller(self):
        mean, std = np.array([0.5, -1.0]), np.array([0.25, 2.0])
        found = gaussian_like((3, 2), np.array([4, 9]), mean, std, seed=1, split="test")
        drawn = uniforms(drawn_bits(1, "gaussian_inputs of test", np.array([4, 9]), 12))
        u, v = drawn[:, :6], drawn[:, 6:]
        normal = np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)
        expected = mean + std * normal.reshape(2, 3, 2)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        self.assertEqual(found.dtype, np.float32)

    def test_mean_and_variance_are_the_training_sets(self):
        samples = Controlled(split(3000), None, split(50))
        after = applied(samples, gaussian_inputs=True)
        mean, std = input_statistics(samples.train.inputs)
        numbers = after.train.inputs.reshape(-1, 3).astype(np.float64)
        count = len(numbers)
        self.assertLess(np.abs(numbers.mean(axis=0) - mean).max(), 4.5 * std.max() / np.sqrt(count))
        self.assertLess(np.abs(numbers.std(axis=0) / std - 1).max(), 4.5 / np.sqrt(2 * count))
        fourth = (((numbers - mean) / std) ** 4).mean()
        self.assertLess(abs(fourth - 3), 4.5 * np.sqrt(96 / numbers.size))
        self.assertEqual(after.test.inputs.dtype, np.float32)
        self.assertFalse(np.array_equal(after.test.inputs, after.train.inputs[:50]))

    def test_refused(self):
        tokens = Controlled(in_order(np.zeros((4, 2), np.int32), np.arange(4, dtype=np.int32), 4), None, None)
        for flags in ({"gaussian_inputs": True}, {"pixel_shuffle": "fixed"}):
            with self.assertRaisesRegex(UserError, r"the inputs of this data set are int32\[2\]"):
                applied(tokens, **flags)
        with self.assertRaisesRegex(UserError, "no pixels left to shuffle"):
            ControlConfig.of(gaussian_inputs=True, pixel_shuffle="fixed")


class DuplicatesTest(unittest.TestCase):
    def test_a_number(self):
        before = three()
        after = applied(before, duplicate="7")
        draws = uniforms(drawn_bits(0, "duplicate", before.train.sample_ids, 1))[:, 0]
        chosen = np.sort(np.argsort(draws)[:7])
        self.assertEqual(len(after.train), 67)
        np.testing.assert_array_equal(after.train.sample_ids[60:], chosen + COPY)
        np.testing.assert_array_equal(source_ids(after.train.sample_ids)[60:], chosen)
        np.testing.assert_array_equal(after.train.inputs[60:], before.train.inputs[chosen])
        np.testing.assert_array_equal(after.train.targets[60:], before.train.targets[chosen])
        self.assertEqual(len(set(after.train.sample_ids.tolist())), 67)
        more = applied(before, duplicate="20").train.sample_ids
        self.assertLess(set(after.train.sample_ids.tolist()), set(more.tolist()))

    def test_a_probability_is_each_samples_own(self):
        before = Controlled(split(4000), None, None)
        after = applied(before, duplicate="0.1")
        copies = after.train.sample_ids[4000:] - COPY
        self.assertLess(abs(len(copies) - 400), 4 * np.sqrt(4000 * 0.09))
        half = applied(Controlled(before.train.select(np.arange(2000)), None, None), duplicate="0.1")
        np.testing.assert_array_equal(half.train.sample_ids[2000:] - COPY, copies[copies < 2000])
        self.assertEqual(len(applied(three(), duplicate="1.0").train), 120)

    def test_refused(self):
        for value in ("0", "1.5", "-3", "0.0", "many", "nan"):
            with self.assertRaisesRegex(UserError, f"--duplicate={value}: give a number"):
                ControlConfig.of(duplicate=value)
        with self.assertRaisesRegex(UserError, "--duplicate=61: there are 60 training samples"):
            applied(three(), duplicate="61")


class LeaveOutTest(unittest.TestCase):
    def test_others_stay_who_they_are(self):
        before = three()
        after = applied(before, leave_out="3,10-12 59")
        kept = np.setdiff1d(np.arange(60), [3, 10, 11, 12, 59])
        np.testing.assert_array_equal(after.train.sample_ids, kept)
        np.testing.assert_array_equal(after.train.inputs, before.train.inputs[kept])
        np.testing.assert_array_equal(after.validation.sample_ids, before.validation.sample_ids)

    def test_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ids.txt"
            path.write_text("# those that are wrong\n3 10-12\n59  # the last\n\n", encoding="utf-8")
            np.testing.assert_array_equal(left_out_ids(str(path)), [3, 10, 11, 12, 59])
            path.write_text("3 ten\n", encoding="utf-8")
            with self.assertRaisesRegex(UserError, "'ten' in it is neither an id nor an ascending range"):
                left_out_ids(str(path))
            path.write_text("# none\n", encoding="utf-8")
            with self.assertRaisesRegex(UserError, "there is no id in it"):
                left_out_ids(str(path))

    def test_refused(self):
        for value, words in (
            (
                "100",
                r"100 are no ids of the 60 training samples \(0 to 59, .*; 1 of them held out for validation",
            ),
            ("3,70-99", "70, 71, 72, 73, 74 and 25 others are no ids"),
            ("0-59", "it leaves no training sample"),
            ("5-3", "'5-3' is neither an id nor an ascending range"),
            ("missing.txt", "cannot read this file"),
        ):
            with self.assertRaisesRegex(UserError, f"--leave_out={value}: {words}"):
                applied(three(), leave_out=value)


class OrderTest(unittest.TestCase):
    def test_together_they_act_in_their_order(self):
        before = three()
        flags = {"leave_out": "0-9", "label_noise": 0.5, "pixel_shuffle": "per_sample", "duplicate": "0.3"}
        after = applied(before, **flags)
        left = applied(before, leave_out="0-9")
        labels = applied(left, label_noise=0.5)
        pixels = applied(labels, pixel_shuffle="per_sample")
        one_by_one = applied(pixels, duplicate="0.3")
        for name in ("inputs", "targets", "sample_ids"):
            for part in ("train", "validation", "test"):
                np.testing.assert_array_equal(
                    getattr(getattr(after, part), name), getattr(getattr(one_by_one, part), name)
                )
        np.testing.assert_array_equal(
            after.clean_targets, before.train.targets[source_ids(after.train.sample_ids)]
        )
        self.assertEqual(len(after.notes), 4)
        self.assertFalse(set(after.train.sample_ids.tolist()) & set(range(10)))

    def test_none_changes_nothing(self):
        before = three()
        self.assertIs(applied(before), before)


if __name__ == "__main__":
    unittest.main()
