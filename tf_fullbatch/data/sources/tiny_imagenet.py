"""TinyImageNet as Stanford's course CS231n ships it: `tiny-imagenet-200/`, 200 classes of ImageNet at 64x64.

`wnids.txt` lists the classes, `train/WNID/images/` has 500 images of each, `val/images/` has 10,000, whose classes
`val/val_annotations.txt` tells. The images of `test/` come without classes and are not read: `val` is tested on.
"""

from pathlib import Path

from tf_fullbatch.data.sources.image_layouts import ClassFiles, images_in, subfolders
from tf_fullbatch.errors import UserError


def splits_of(folder: Path) -> dict[str, dict[str, ClassFiles]]:
    """Split -> class (a WordNet id, in the order of these) -> its images; `val` is "test".

    Raises:
        UserError: Classes without images, or files that contradict each other.
        OSError: A file cannot be read.
    """
    classes = sorted({line.strip() for line in _lines(folder / "wnids.txt") if line.strip()})
    there = {path.name for path in subfolders(folder / "train")}
    for name, words in (
        (next(iter(sorted(set(classes) - there)), None), "which wnids.txt lists, has no folder in 'train'"),
        (next(iter(sorted(there - set(classes))), None), "which 'train' has, is not in wnids.txt"),
    ):
        if name is not None:
            raise UserError(f"the class {name!r}, {words}: mend {folder}.")
    train = {name: images_in(folder / "train" / name / "images") for name in classes}
    return {"train": train, "test": _validation(folder / "val", classes)}


def _validation(folder: Path, classes: list[str]) -> dict[str, ClassFiles]:
    """Class -> the images of `val/images` that the annotations put there."""
    annotations, names = folder / "val_annotations.txt", set(images_in(folder / "images").names)
    found: dict[str, list[str]] = {name: [] for name in classes}
    told = set()
    for number, line in enumerate(_lines(annotations), 1):
        if not line.strip():
            continue
        name, label = [*line.split("\t"), ""][:2]
        if label not in found:
            raise UserError(f"{annotations}, line {number}: {label!r} is none of the classes of wnids.txt.")
        if name not in names or name in told:
            what = "comes twice" if name in told else "is not there"
            raise UserError(f"{annotations}, line {number}: the image {name!r} {what}.")
        told.add(name)
        found[label].append(name)
    if names - told:
        raise UserError(f"{folder / 'images' / min(names - told)} has no line in {annotations.name}.")
    return {label: ClassFiles(folder / "images", sorted(some)) for label, some in found.items()}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text (UTF-8).") from error
