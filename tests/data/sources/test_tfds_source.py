"""Data sets of TFDS: their order, splits and sizes, what is refused, and downloads that fail."""

import collections
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.data.sources import tfds_builder, tfds_reading
from tf_fullbatch.errors import UserError

# Written to the record files in this order, which TFDS shuffles once more; ids tell the official one.
TRAIN, TEST = 23, 9


def pixels(split, index):
    """The image of a sample, uint8 [6, 5, 3], a function of its split and its official position."""
    return np.random.default_rng([index, len(split)]).integers(0, 256, (6, 5, 3), dtype=np.uint8)


class _Images(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Small images with labels; subclasses vary what a source can vary in."""

    VERSION = tfds.core.Version("1.0.0")
    SPLITS = {"train": TRAIN, "test": TEST}  # noqa: RUF012
    SHAPE: tuple = (6, 5, 3)
    UNLABELLED: tuple = ()

    def _info(self):
        image, label = tfds.features.Image(shape=self.SHAPE), tfds.features.ClassLabel(num_classes=4)
        features = {"image": image, "label": label}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features | self.extra())
        )

    def extra(self):
        return {"id": tfds.features.Text()}

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split, count) for split, count in self.SPLITS.items()}

    def _generate_examples(self, split, count):
        for i in range(count):
            yield i, self.example(split, i)

    def example(self, split, i):
        label = -1 if split in self.UNLABELLED else i % 4
        return {"id": f"{split}_{i:05d}", "image": pixels(split, i), "label": label}


class WithIds(_Images, skip_registration=True):
    """Ids in the form that tells the official order."""


class OtherIds(_Images, skip_registration=True):
    """Ids in another form."""

    def example(self, split, i):
        return super().example(split, i) | {"id": f"{i:05d}.png"}


class NoIds(_Images, skip_registration=True):
    """Gray images without ids."""

    SHAPE = (6, 5, 1)

    def extra(self):
        return {}

    def example(self, split, i):
        return {"image": pixels(split, i)[..., :1], "label": i % 4}


class HiddenTestLabels(_Images, skip_registration=True):
    """A test split without labels beside a validation split."""

    SPLITS = {"train": TRAIN, "validation": TEST, "test": 3}  # noqa: RUF012
    UNLABELLED = ("test",)


class TrainOnly(_Images, skip_registration=True):
    """Nothing to test on."""

    SPLITS = {"train": TRAIN}  # noqa: RUF012


class WithoutTraining(_Images, skip_registration=True):
    """Nothing to train on."""

    SPLITS = {"test": TEST}  # noqa: RUF012


class VaryingSize(_Images, skip_registration=True):
    """Images of which each has its own size."""

    SHAPE = (None, None, 3)

    def example(self, split, i):
        image = np.full((4 + i, 8, 3), 10 * i, np.uint8)
        image[: i // 2] = 255  # above and below the central square, for i > 4
        return super().example(split, i) | {"image": image}


class NotImages(_Images, skip_registration=True):
    """No image to classify."""

    def _info(self):
        features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features)


class TfdsTest(tf.test.TestCase):
    """Builders are made here, from the classes above; `tfds.builder` is what finds one by its name."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data_dir = cls.enterClassContext(tempfile.TemporaryDirectory())

    def load(self, builder_cls, data_dir=None, **kwargs):
        data_dir = data_dir or self.data_dir
        with mock.patch.object(tfds, "builder", lambda name, data_dir: builder_cls(data_dir=data_dir)):
            return DataConfig.of(dataset=builder_cls.name, data_dir=data_dir, **kwargs).load()

    def test_order_of_ids(self):
        data = self.load(WithIds)
        for part, split, count in ((data.train, "train", TRAIN), (data.test, "test", TEST)):
            self.assertAllEqual(part.inputs, np.stack([pixels(split, i) for i in range(count)]))
            self.assertAllEqual(part.targets, np.arange(count) % 4)
            self.assertAllEqual(part.sample_ids, np.arange(count))
        self.assertEqual(
            (data.train.inputs.shape[1:], data.num_classes, data.test_split), ((6, 5, 3), 4, "test")
        )

    def test_read_order_without_such_ids(self):
        for builder_cls, channels in ((OtherIds, 3), (NoIds, 1)):
            data = self.load(builder_cls)
            ds = builder_cls(data_dir=self.data_dir).as_dataset(split="train", shuffle_files=False)
            expected = np.stack([example["image"] for example in ds])
            self.assertEqual(data.train.inputs.shape[1:], (6, 5, channels))
            self.assertAllEqual(data.train.inputs, expected)
            self.assertAllEqual(data.train.sample_ids, np.arange(TRAIN))
            written = np.stack([pixels("train", i)[..., :channels] for i in range(TRAIN)])
            self.assertNotAllEqual(expected, written)  # TFDS shuffles, or this test shows nothing
            self.assertAllEqual(self.load(builder_cls).train.inputs, expected)

    def test_validation_where_test_has_no_labels(self):
        data = self.load(HiddenTestLabels)
        self.assertEqual(data.test_split, "validation")
        self.assertAllEqual(data.test.inputs, np.stack([pixels("validation", i) for i in range(TEST)]))

    def test_no_test_set(self):
        data = self.load(TrainOnly)
        self.assertIsNone(data.test)
        self.assertIsNone(data.test_split)
        self.assertLen(data.train, TRAIN)

    def test_no_training_set(self):
        with self.assertRaisesRegex(UserError, "has no split 'train', only test"):
            self.load(WithoutTraining)

    def test_varying_size(self):
        with self.assertRaisesRegex(UserError, "--image_size"):
            self.load(VaryingSize)
        data = self.load(VaryingSize, image_size=4)
        self.assertEqual(data.train.inputs.shape[1:], (4, 4, 3))
        # Sample 0 is 4 x 8 of one value; the square cut out of sample 20, 24 x 8, ends below its white rows.
        self.assertAllEqual(data.train.inputs[0], np.zeros((4, 4, 3)))
        self.assertAllEqual(data.train.inputs[20][-1], np.full((4, 3), 200))

    def test_resize_is_antialiased_bilinear_of_the_central_square(self):
        data = self.load(WithIds, image_size=4)
        square = pixels("train", 0)[:5]  # of 6 x 5 pixels, the odd row is cut off below
        expected = tf.image.resize(square, [4, 4], method="bilinear", antialias=True)
        self.assertAllEqual(data.train.inputs[0], np.round(expected))

    def test_not_image_classification(self):
        with self.assertRaisesRegex(
            UserError, "not one of image or text classification: it has 0 image, 1 text and 0 class"
        ):
            self.load(NotImages)

    def test_too_large_for_memory(self):
        memory = collections.namedtuple("memory", "available")(1000)
        with (
            mock.patch.object(tfds_reading.psutil, "virtual_memory", return_value=memory),
            self.assertRaisesRegex(UserError, r"takes 0\.0 GiB of memory"),
        ):
            self.load(WithIds)

    def test_failed_download_tells_what_was_tried_and_breaks_nothing(self):
        with tempfile.TemporaryDirectory() as data_dir:
            failure = ConnectionError("no route to host\nsecond line")
            with (
                mock.patch.object(WithIds, "_split_generators", side_effect=failure),
                self.assertRaises(UserError) as caught,
            ):
                self.load(WithIds, data_dir=data_dir)
            message = str(caught.exception)
            for part in ("with_ids/1.0.0", data_dir, "no route to host", "--data_dir", "tfds build"):
                self.assertIn(part, message)
            self.assertNotIn("\n", message)
            self.assertEmpty(list(pathlib.Path(data_dir).glob("with_ids/*")))
            self.assertLen(self.load(WithIds, data_dir=data_dir).train, TRAIN)

    def test_downloads_fail_fast_and_tfds_is_left_as_it_was(self):
        downloader = tfds_builder.downloader
        before = downloader.MAX_RETRIES, downloader._open_with_requests
        seen = {}

        def download(self, dl_manager):
            opener = downloader._open_with_requests
            seen.update(retries=downloader.MAX_RETRIES, timeout=opener.keywords["timeout"])
            raise ConnectionError

        with (
            tempfile.TemporaryDirectory() as data_dir,
            mock.patch.object(WithIds, "_split_generators", download),
            self.assertRaisesRegex(UserError, "ConnectionError: no reason given"),
        ):
            self.load(WithIds, data_dir=data_dir)
        self.assertEqual(seen, {"retries": 2, "timeout": (10, 60)})
        self.assertEqual((downloader.MAX_RETRIES, downloader._open_with_requests), before)

    def test_says_nothing_where_there_is_no_terminal(self):
        with tempfile.TemporaryDirectory() as data_dir:
            script = (
                "import tests.data.sources.test_tfds_source as t; case = t.TfdsTest(); "
                f"case.load(t.WithIds, data_dir={data_dir!r})"
            )
            env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
            command = [sys.executable, "-c", script]
            done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
        self.assertEqual(done.stdout, "")
        for chatter in ("Downloading", "Generating", "examples/s", "Load dataset info"):
            self.assertNotIn(chatter, done.stderr)


class ReorderTest(unittest.TestCase):
    def test_equals_indexing(self):
        rng = np.random.default_rng(0)
        for count in (1, 2, 3, 10, 257):
            for order in (np.arange(count), rng.permutation(count), np.roll(np.arange(count), 1)):
                images = rng.integers(0, 256, (count, 2, 2, 1), dtype=np.uint8)
                expected = images[order]
                tfds_reading._reorder(images, order)
                np.testing.assert_array_equal(images, expected)


if __name__ == "__main__":
    tf.test.main()
