"""TinyImageNet's folder, as it is shipped but smaller."""

import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.errors import UserError
from tf_fullbatch.run.splits import Splits

CLASSES = ("n02124075", "n04067472", "n01443537")
"""In the order of wnids.txt, which is not that of their names."""
SIDE = 64


class TinyImageNetTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "tiny-imagenet-200"
        lines = []
        for place, name in enumerate(CLASSES):
            for i in range(3):
                self.image(f"train/{name}/images/{name}_{i}.JPEG", 40 * place + i)
            (self.folder / "train" / name / f"{name}_boxes.txt").write_text("n_0.JPEG\t0\t10\t63\t58\n")
        for i, name in enumerate((*CLASSES, CLASSES[0])):
            self.image(f"val/images/val_{i}.JPEG", 200 + i)
            lines.append(f"val_{i}.JPEG\t{name}\t0\t32\t44\t62\n")
        self.image("test/images/test_0.JPEG", 0)
        self.annotations = self.folder / "val" / "val_annotations.txt"
        self.annotations.write_text("".join(lines))
        (self.folder / "wnids.txt").write_text("\n".join(CLASSES) + "\n")
        (self.folder / "words.txt").write_text("n00001740\tentity\n")

    def image(self, place: str, value: int, channels: int = 3) -> None:
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_jpeg(np.full((SIDE, SIDE, channels), value, np.uint8)).numpy())

    def load(self) -> Any:
        return DataConfig.of(dataset=f"{self.folder}/").load()

    def refused(self, words: str) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            self.load()
        self.assertNotIn("\n", str(caught.exception))

    def test_what_it_holds(self) -> None:
        found = self.load()
        self.assertEqual(found.train.inputs.shape, (9, SIDE, SIDE, 3))
        self.assertEqual((found.num_classes, found.validation, found.test_split), (3, None, "val"))
        np.testing.assert_array_equal(found.train.targets, np.repeat([0, 1, 2], 3))
        # Classes in the order of their names: the last of wnids.txt is the first.
        np.testing.assert_array_equal(found.train.inputs[:, 0, 0, 0], [80, 81, 82, 0, 1, 2, 40, 41, 42])
        np.testing.assert_array_equal(found.test.targets, [0, 1, 1, 2])
        np.testing.assert_array_equal(found.test.inputs[:, 0, 0, 0], [202, 200, 203, 201])
        self.assertEqual(DataConfig.of(dataset=f"{self.folder}/").count_training_samples(), 9)
        self.assertFalse(DataConfig.of(dataset=f"{self.folder}/").has_validation())

    def test_it_is_said_what_is_tested_on(self) -> None:
        found = self.load()
        said = str(Splits(found.train, None, found.test, found.test_split))
        self.assertEqual(said, "9 training, 4 test (the source's split 'val': it has no labelled test split)")

    def test_grey_images_get_three_channels(self) -> None:
        self.image(f"train/{CLASSES[0]}/images/{CLASSES[0]}_1.JPEG", 7, channels=1)
        np.testing.assert_array_equal(self.load().train.inputs[4], np.full((SIDE, SIDE, 3), 7))

    def test_files_that_contradict_each_other(self) -> None:
        good = self.annotations.read_text()
        for bad, words in (
            (good + "val_9.JPEG\tn01443537\t0\t0\t1\t1\n", "line 5: the image 'val_9.JPEG' is not there"),
            (good + "val_0.JPEG\tn01443537\n", "line 5: the image 'val_0.JPEG' comes twice"),
            (good.replace("n04067472", "n9"), "line 2: 'n9' is none of the classes of wnids.txt"),
            (good.replace("\t", " "), "line 1: '' is none of the classes"),
            (good.split("\n", 1)[1], r"images/val_0.JPEG has no line in val_annotations.txt"),
        ):
            self.annotations.write_text(bad)
            self.refused(words)
        self.annotations.write_bytes(b"\xff\xfe")
        self.refused("val_annotations.txt is no text")
        self.annotations.write_text(good)
        wnids = self.folder / "wnids.txt"
        wnids.write_text("\n".join((*CLASSES, "n00000001")))
        self.refused("'n00000001', which wnids.txt lists, has no folder in 'train'")
        wnids.write_text("\n".join(CLASSES[:2]))
        self.refused("'n01443537', which 'train' has, is not in wnids.txt")


if __name__ == "__main__":
    unittest.main()
