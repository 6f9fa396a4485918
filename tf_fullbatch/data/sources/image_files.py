"""Names of many files in little memory."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tf_fullbatch.data.sources.image_layouts import ClassFiles


class ImageFiles:
    """The files of a split, class by class: about 30 bytes for each of ImageNet's 1.28 million.

    Args:
        by_class: Class -> its files.
        classes: All classes, in the order of their numbers.

    Attributes:
        targets: int32 `[files]`, class numbers.
    """

    def __init__(self, by_class: Mapping[str, ClassFiles], classes: list[str]):
        of_class = [by_class[name] for name in by_class]
        counts = [len(files.names) for files in of_class]
        self._folders = [os.fsencode(f"{_plain(files.folder)}/") for files in of_class]
        self._folder = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        self._names = np.array([os.fsencode(name) for files in of_class for name in files.names])
        numbers = {name: number for number, name in enumerate(classes)}
        self.targets = np.repeat(np.array([numbers[name] for name in by_class], np.int32), counts)

    def __len__(self) -> int:
        return len(self._names)

    def paths(self, numbers: np.ndarray) -> list[bytes]:
        """Of some files, as the system has them: in whatever encoding."""
        folders, names = self._folder[numbers].tolist(), self._names[numbers].tolist()
        return [self._folders[folder] + name for folder, name in zip(folders, names, strict=True)]

    def path(self, number: int) -> Path:
        """Of a file."""
        (path,) = self.paths(np.array([number]))
        return Path(os.fsdecode(path))


def _plain(folder: Path) -> Path:
    """A folder without `..`, which TensorFlow takes for the parent by name, whatever links there are."""
    return folder.resolve() if ".." in folder.parts else folder
