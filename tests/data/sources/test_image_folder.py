"""Images in folders, one per class."""

import hashlib
import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import own_parts, part_names


def pixels(seed: int, height: int = 5, width: int = 6, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels)).astype("uint8")


class ImageFolderTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "images"

    def image(self, place: str, array: np.ndarray) -> None:
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(array).numpy())

    def load(self, **settings: Any) -> Any:
        return DataConfig.of(dataset=f"{self.folder}/", **settings).load()

    def refused(self, words: str, **settings: Any) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            self.load(**settings)
        self.assertEqual(len(str(caught.exception).splitlines()), 1)

    def test_a_subfolder_is_a_class(self) -> None:
        for i, place in enumerate(("dogs/2.png", "cats/b.PNG", "cats/a.png", "dogs/1.png")):
            self.image(place, pixels(i))
        (self.folder / "dogs" / "notes.txt").write_text("no image")
        found = self.load()
        self.assertEqual((found.test, found.validation, found.num_classes), (None, None, 2))
        np.testing.assert_array_equal(found.train.targets, [0, 0, 1, 1])
        np.testing.assert_array_equal(found.train.inputs, np.stack([pixels(i) for i in (2, 1, 3, 0)]))
        self.assertEqual(DataConfig.of(dataset=f"{self.folder}/").count_training_samples(), 4)

    def test_splits_sizes_and_grey_images(self) -> None:
        for split, count in (("train", 3), ("val", 1), ("test", 2)):
            for i in range(count):
                for label in ("a", "b"):
                    self.image(f"{split}/{label}/{i}.png", pixels(i, 8 + i, 9, channels=1 + 2 * (i % 2)))
        found = self.load(image_size=4)
        self.assertEqual([len(s) for s in (found.train, found.validation, found.test)], [6, 2, 4])
        self.assertEqual(found.train.inputs.shape, (6, 4, 4, 3))
        grey = found.train.inputs[0]
        np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
        self.refused("its images vary in size .*give the one they are brought to by --image_size")

    def test_what_is_refused(self) -> None:
        self.refused("there is no such folder")
        self.folder.mkdir()
        self.refused("has no subfolders of images")
        (self.folder / "a").mkdir()
        self.refused(r"a holds no images \(.png, .jpg")
        self.image("a/0.png", pixels(0))
        self.refused("at least two classes")
        self.image("b/0.png", pixels(0))
        (self.folder / "b" / "1.jpg").write_bytes(b"no image")
        self.refused("b/1.jpg does not decode as an image")
        (self.folder / "a" / "1.WEBP").write_bytes(b"")
        self.refused(r"a/1.WEBP is an image that is not read \(accepted are .png, .*convert it")

    def test_a_file(self) -> None:
        self.folder.touch()
        self.refused("it is a file. Give FOLDER/")

    def test_splits_that_do_not_fit(self) -> None:
        for place in ("train/a/0.png", "train/b/0.png", "test/a/0.png", "test/c/0.png"):
            self.image(place, pixels(0))
        self.refused("'test' has the class 'c', which 'train' has not")
        (self.folder / "rest").mkdir()
        self.refused("beside 'train' it has 'rest'")

    def test_names_of_folders(self) -> None:
        for value in ("a/", "./a", "../a", "/a", "~/a"):
            self.assertTrue(part_names.is_folder(value))
            self.assertTrue(part_names.absolute(value).endswith("a/"))
        for value in ("cifar10", "cifar10_corrupted/blur", "cifar10:3.0.2"):
            self.assertFalse(part_names.is_folder(value))
            self.assertEqual(part_names.absolute(value), value)
        self.assertEqual(part_names.absolute("/x/a.py:f"), "/x/a.py:f")
        self.assertEqual(part_names.shortened("/x/images/"), "images")

    def test_the_hash_that_run_folders_hold(self) -> None:
        for i, place in enumerate(
            ("a/0.png", "a/b/1.png", "a-b/c.png", "a b.png", "A.png", "a/.h/2.png", "a/.x.png")
        ):
            self.image(place, pixels(i, 3 + i))
        shown = [path for path in self.folder.rglob("*") if path.is_file() and "/." not in str(path)]
        lines = [
            f"{path.relative_to(self.folder).as_posix()} {path.stat().st_size}" for path in sorted(shown)
        ]
        self.assertEqual(len(lines), 5)
        expected = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        self.assertEqual(own_parts.file_hash("dataset", f"{self.folder}/"), expected)

    def test_its_hash_is_of_names_and_sizes(self) -> None:
        self.image("a/0.png", pixels(0))
        before = own_parts.file_hash("dataset", f"{self.folder}/")
        self.assertEqual(own_parts.file_hash("dataset", f"{self.folder}/"), before)
        (self.folder / ".hidden").mkdir()
        (self.folder / ".hidden" / "x").write_text("not read")
        self.assertEqual(own_parts.file_hash("dataset", f"{self.folder}/"), before)
        linked = self.folder.parent / "linked"
        linked.mkdir()
        (linked / "a").symlink_to(self.folder / "a")
        self.assertEqual(own_parts.file_hash("dataset", f"{linked}/"), before)
        self.image("a/1.png", pixels(0))
        for folder in (self.folder, linked):
            self.assertNotEqual(own_parts.file_hash("dataset", f"{folder}/"), before)


if __name__ == "__main__":
    unittest.main()
