"""Sets in the form of TFDS' own: which features they have, which of them is learnt, and samples that are refused."""

import io
import tempfile
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl.testing import parameterized

from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.errors import UserError


class Made(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A set of images whose form subclasses give."""

    VERSION = tfds.core.Version("1.0.0")
    SHAPE: ClassVar[tuple] = (4, 4, 3)
    LABELS: ClassVar[dict[str, int]] = {"label": 10}
    SPLITS: ClassVar[dict[str, int]] = {"train": 12, "test": 5}
    PAIR: ClassVar[tuple | None] = ("image", "label")
    IDS = False

    def _info(self) -> Any:
        features: dict[str, Any] = {"image": tfds.features.Image(shape=self.SHAPE)}
        features |= {key: tfds.features.ClassLabel(num_classes=n) for key, n in self.LABELS.items()}
        if self.IDS:
            features["id"] = tfds.features.Text()
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=self.PAIR
        )

    def _split_generators(self, dl_manager: Any) -> Any:
        return {split: self._generate_examples(split, count) for split, count in self.SPLITS.items()}

    def _generate_examples(self, split: str, count: int) -> Any:
        for i in range(count):
            made = {"image": np.full(self.SHAPE, i, np.uint8)}
            made |= {key: (i + place) % n for place, (key, n) in enumerate(self.LABELS.items())}
            yield i, self.changed(made | ({"id": f"{split}_{i:05d}"} if self.IDS else {}), split, i)

    def changed(self, example: dict, split: str, i: int) -> dict:
        return example


class Cifar10(Made, skip_registration=True):
    SHAPE = (32, 32, 3)
    IDS = True


class Cifar100(Made, skip_registration=True):
    SHAPE = (32, 32, 3)
    LABELS: ClassVar[dict[str, int]] = {"label": 100, "coarse_label": 20}
    IDS = True


class SvhnCropped(Made, skip_registration=True):
    SHAPE = (32, 32, 3)
    SPLITS: ClassVar[dict[str, int]] = {"train": 12, "test": 5, "extra": 9}


class Mnist(Made, skip_registration=True):
    SHAPE = (28, 28, 1)


class ImagenetResized(Made, skip_registration=True):
    SHAPE = (8, 8, 3)
    LABELS: ClassVar[dict[str, int]] = {"label": 1000}
    SPLITS: ClassVar[dict[str, int]] = {"train": 12, "validation": 5}


class Unpaired(Cifar100, skip_registration=True):
    PAIR = None


class Unlabelled(Made, skip_registration=True):
    LABELS: ClassVar[dict[str, int]] = {}
    PAIR = None


class SomeWithout(Made, skip_registration=True):
    def changed(self, example: dict, split: str, i: int) -> dict:
        return example | ({"label": -1} if i == 7 else {})


class Damaged(Made, skip_registration=True):
    def changed(self, example: dict, split: str, i: int) -> dict:
        return example | ({"image": io.BytesIO(b"no image")} if i == 3 and split == "test" else {})


class FormsTest(parameterized.TestCase, tf.test.TestCase):
    def load(self, made: type, **settings: Any) -> Any:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        with mock.patch.object(tfds, "builder", lambda name, data_dir: made(data_dir=data_dir)):
            return DataConfig.of(dataset=made.name, data_dir=folder, **settings).load()

    def refused(self, words: str, made: type, **settings: Any) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            self.load(made, **settings)
        self.assertNotIn("\n", str(caught.exception))

    @parameterized.parameters(
        (Cifar10, 10, "test"),
        (Cifar100, 100, "test"),
        (SvhnCropped, 10, "test"),
        (Mnist, 10, "test"),
        (ImagenetResized, 1000, "validation"),
    )
    def test_the_sets_that_papers_use(self, made: type, classes: int, test_split: str) -> None:
        found = self.load(made)
        self.assertEqual((len(found.train), len(found.test), found.test_split), (12, 5, test_split))
        self.assertEqual((found.num_classes, found.train.inputs.shape[1:]), (classes, made.SHAPE))
        self.assertAllEqual(found.train.targets, found.train.inputs[:, 0, 0, 0].astype(int) % classes)
        self.assertAllEqual(np.sort(found.train.inputs[:, 0, 0, 0]), np.arange(12))

    def test_which_class_is_learnt(self) -> None:
        fine, coarse = self.load(Cifar100), self.load(Cifar100, target="coarse_label")
        self.assertEqual((coarse.num_classes, coarse.test.num_classes), (20, 20))
        self.assertAllEqual(coarse.train.targets, (fine.train.targets + 1) % 20)
        self.assertAllEqual(coarse.train.inputs, fine.train.inputs)
        self.refused(
            "--target=lable: the classes .* are label, coarse_label; name one", Cifar100, target="lable"
        )
        self.refused("has the classes label, coarse_label; name the one to learn by --target", Unpaired)
        self.assertEqual(self.load(Unpaired, target="label").num_classes, 100)

    def test_samples_that_are_refused(self) -> None:
        self.refused("has 1 image, 0 text and 0 class features", Unlabelled)
        self.refused(r"has 1 samples without a label in 'train', the first is number \d+;", SomeWithout)
        self.refused(r"sample \d of 'test' of the data set 'damaged' does not decode as an image", Damaged)

    def test_a_class_out_of_range(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory())

        def made(name: str, data_dir: str) -> Any:
            builder = Made(data_dir=folder)
            builder.download_and_prepare()
            mock.patch.object(builder.info.features["label"], "_num_classes", 8).start()
            return builder

        self.addCleanup(mock.patch.stopall)
        with (
            mock.patch.object(tfds, "builder", made),
            self.assertRaisesRegex(
                UserError, r"sample \d+ of 'train' .* is of class [89] \('label'\), .* 0 to 7"
            ),
        ):
            DataConfig.of(dataset="made", data_dir=folder).load()


if __name__ == "__main__":
    tf.test.main()
