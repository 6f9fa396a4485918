"""--dataset=FOLDER/: images in a folder, one subfolder per class."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tf_fullbatch.data.sources.base import SourceSettings, image_size
from tf_fullbatch.data.sources.image_layouts import layout_of

if TYPE_CHECKING:
    from tf_fullbatch.data.sources.dataset import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFolder(SourceSettings):
    """FOLDER/CLASS/image.png; or FOLDER/train/CLASS/image.png, and `validation` (or `val`) and `test` beside it.

    Classes are numbered in the order of their names, samples by class and name. Every image gets three channels.
    TinyImageNet's folder is known by its wnids.txt, see `tiny_imagenet`.
    """

    image_size: int | None = image_size()

    def load(self, name: str, data_dir: str | None) -> "Dataset":
        """The images, decoded."""
        from tf_fullbatch.data.sources.image_files import ImageFiles
        from tf_fullbatch.data.sources.image_reading import read_images
        from tf_fullbatch.data.sources.users_arrays import dataset_of

        layout = layout_of(Path(name))
        classes = list(layout.splits["train"])
        parts = {}
        for split, by_class in layout.splits.items():
            files = ImageFiles(by_class, classes)
            parts[split] = (read_images(files, self.image_size), files.targets)
        return replace(dataset_of(name, parts), test_split=layout.test_split, class_names=tuple(classes))

    def has_validation(self, name: str, data_dir: str | None) -> bool:
        """Whether it has a folder of them."""
        return "validation" in layout_of(Path(name)).splits

    def count_training_samples(self, name: str, data_dir: str | None) -> int:
        """Files of images to train on."""
        return sum(len(files.names) for files in layout_of(Path(name)).splits["train"].values())
