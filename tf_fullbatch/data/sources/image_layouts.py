"""Where images lie in a folder, split by split and class by class."""

import os
from pathlib import Path
from typing import NamedTuple

from tf_fullbatch.errors import UserError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_OTHERS = (
    ".webp",
    ".tif",
    ".tiff",
    ".heic",
    ".heif",
    ".avif",
    ".jp2",
    ".jxl",
    ".ppm",
    ".pgm",
    ".svg",
    ".jfif",
)
"""Endings of images that TensorFlow does not decode, or not by this name: to skip them would change the data unsaid."""
_SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


class ClassFiles(NamedTuple):
    """The images of a class.

    Attributes:
        folder: Where they lie.
        names: Of the files, in their order.
    """

    folder: Path
    names: list[str]


class Layout(NamedTuple):
    """The images of a folder.

    Attributes:
        splits: "train", "validation" or "test" -> class -> its images; classes in the order of their names.
        test_split: The folder's own name of the split "test"; None where there is none.
    """

    splits: dict[str, dict[str, ClassFiles]]
    test_split: str | None


def layout_of(folder: Path) -> Layout:
    """The images of a folder, as `image_folder` describes it, or TinyImageNet's.

    Raises:
        UserError: There is no such folder, it holds no classes of images, or what it says of them is not so.
    """
    check_folder(folder)
    try:
        if (folder / "wnids.txt").is_file() and (folder / "val" / "val_annotations.txt").is_file():
            from tf_fullbatch.data.sources import tiny_imagenet

            return Layout(tiny_imagenet.splits_of(folder), "val")
        splits = _splits_of(folder)
    except OSError as error:
        raise UserError(f"cannot read {error.filename} ({error.strerror}).") from error
    for split, by_class in splits.items():
        unknown = sorted(set(by_class) - set(splits["train"]))
        if unknown:
            raise UserError(
                f"{split!r} has the class {unknown[0]!r}, which 'train' has not: there is nothing to learn it from."
            )
    return Layout(splits, "test" if "test" in splits else None)


def check_folder(folder: Path) -> None:
    """Refuses what is no folder.

    Raises:
        UserError: It is a file, or not there.
    """
    if not folder.is_dir():
        why = "it is a file" if folder.is_file() else "there is no such folder"
        raise UserError(f"{why}. Give FOLDER/ with a subfolder of images per class.")


def images_in(folder: Path) -> ClassFiles:
    """The images of a folder.

    Raises:
        UserError: It holds none, or one of another type than those that are read.
    """
    with os.scandir(folder) as entries:
        files = [e.name for e in entries if e.name.lower().endswith(ENDINGS + _OTHERS) and e.is_file()]
    others = sorted(name for name in files if name.lower().endswith(_OTHERS))
    if others:
        raise UserError(
            f"{folder / others[0]} is an image that is not read (accepted are {', '.join(ENDINGS)}): convert it, or "
            "take it out."
        )
    if not files:
        raise UserError(f"{folder} holds no images ({', '.join(ENDINGS)}).")
    return ClassFiles(folder, sorted(files))


def subfolders(folder: Path) -> list[Path]:
    """Folders within one, in the order of their names, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _splits_of(folder: Path) -> dict[str, dict[str, ClassFiles]]:
    inside = subfolders(folder)
    named = {_SPLITS[path.name]: path for path in inside if path.name in _SPLITS}
    if "train" not in named:
        return {"train": _classes(folder)}
    others = [path.name for path in inside if path.name not in _SPLITS]
    if others:
        raise UserError(f"beside 'train' it has {others[0]!r}: give 'train', 'validation' and 'test' alone.")
    return {split: _classes(path) for split, path in named.items()}


def _classes(folder: Path) -> dict[str, ClassFiles]:
    found = {path.name: images_in(path) for path in subfolders(folder)}
    if not found:
        raise UserError(f"{folder} has no subfolders of images, one per class.")
    return found
