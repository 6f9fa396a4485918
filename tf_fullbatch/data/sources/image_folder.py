"""--dataset=FOLDER/: images in a folder, one subfolder per class."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tf_fullbatch.data.sources.base import SourceSettings, image_size
from tf_fullbatch.errors import UserError

if TYPE_CHECKING:
    from tf_fullbatch.data.sources.dataset import Dataset

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFolder(SourceSettings):
    """FOLDER/CLASS/image.png; or FOLDER/train/CLASS/image.png, and `validation` (or `val`) and `test` beside it.

    Classes are numbered in the order of their names, samples by class and name. Every image gets three channels.
    """

    image_size: int | None = image_size()

    def load(self, name: str, data_dir: str | None) -> "Dataset":
        """The images, decoded."""
        from tf_fullbatch.data.sources.image_reading import read_images
        from tf_fullbatch.data.sources.users_arrays import dataset_of

        splits = files_of(Path(name))
        classes = sorted(splits["train"])
        parts = {}
        for split, by_class in splits.items():
            unknown = sorted(set(by_class) - set(classes))
            if unknown:
                raise UserError(
                    f"{split!r} has the class {unknown[0]!r}, which 'train' has not: there is nothing to learn it from."
                )
            files = [path for label in sorted(by_class) for path in by_class[label]]
            targets = [classes.index(label) for label in sorted(by_class) for _ in by_class[label]]
            parts[split] = (read_images(files, self.image_size), targets)
        return dataclasses.replace(dataset_of(name, parts), class_names=tuple(classes))

    def has_validation(self, name: str, data_dir: str | None) -> bool:
        """Whether it has a folder of them."""
        return "validation" in files_of(Path(name))

    def count_training_samples(self, name: str, data_dir: str | None) -> int:
        """Files of images to train on."""
        return sum(map(len, files_of(Path(name))["train"].values()))


def files_of(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """Split -> class -> its images, in the order of their names.

    Raises:
        UserError: There is no such folder, or it holds no classes of images.
    """
    if not folder.is_dir():
        raise UserError("there is no such folder. Give FOLDER/ with a subfolder of images per class.")
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        named = {_SPLITS[path.name]: path for path in inside if path.name in _SPLITS}
        if "train" in named:
            others = [path.name for path in inside if path.name not in _SPLITS]
            if others:
                raise UserError(
                    f"beside 'train' it has {others[0]!r}: give 'train', 'validation' and 'test' alone."
                )
            return {split: _classes(path) for split, path in named.items()}
        return {"train": _classes(folder)}
    except OSError as error:
        raise UserError(f"cannot read {error.filename} ({error.strerror}).") from error


def _classes(folder: Path) -> dict[str, list[Path]]:
    found = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            files = [
                file for file in sorted(path.iterdir()) if file.suffix.lower() in ENDINGS and file.is_file()
            ]
            if not files:
                raise UserError(f"{path} holds no images ({', '.join(ENDINGS)}).")
            found[path.name] = files
    if not found:
        raise UserError(f"{folder} has no subfolders of images, one per class.")
    return found
