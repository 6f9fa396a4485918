"""--dataset=FOLDER/: images in a folder, one subfolder per class."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_fullbatch.data.shares import STREAMED_SHARE
from tf_fullbatch.data.sources.base import SourceSettings, image_size
from tf_fullbatch.data.sources.image_layouts import check_folder, layout_of
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.fields import check_ranges, setting

if TYPE_CHECKING:
    from tf_fullbatch.data.sources.dataset import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFolder(SourceSettings):
    """FOLDER/CLASS/image.png; or FOLDER/train/CLASS/image.png, and `validation` (or `val`) and `test` beside it.

    Classes are numbered in the order of their names, samples by class and name. Every image gets three channels.
    TinyImageNet's folder is known by its wnids.txt, see `tiny_imagenet`. Images are the same to the bit whether they
    stream or not.
    """

    image_size: int | None = image_size()
    shorter_side: int | None = setting(
        None,
        "Pixels to which the shorter side of a folder's images is resized before the central square of --image_size is "
        "cut out (256 beside --image_size=224 is ImageNet's). Unset: the central square of the whole, resized.",
        minimum=4,
    )
    stream_images: str = setting(
        "auto",
        "Leave a folder's images in their files and decode them in each pass (on), or decode them once into memory "
        "(off); auto: the former where they take more than half of what is free, or are cropped at random.",
        choices=("auto", "on", "off"),
        affects_results=False,
    )
    random_resized_crop: bool = setting(
        False,
        "Train on random crops of a folder's images, of 8 to 100 % of the area and ratios of 3/4 to 4/3, resized to "
        "--image_size as they are decoded (Szegedy et al. 2015).",
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.shorter_side is not None and self.shorter_side < (self.image_size or self.shorter_side + 1):
            raise UserError(
                f"--shorter_side={self.shorter_side} is for an --image_size of at most that, but it is "
                f"{self.image_size or 'unset'}."
            )
        if self.random_resized_crop and (self.image_size is None or self.stream_images == "off"):
            raise UserError(
                "--random_resized_crop decodes images anew in each pass and resizes them: give --image_size, and no "
                "--stream_images=off."
            )

    def load(self, name: str, data_dir: str | None) -> "Dataset":
        """The images, decoded, or left in their files."""
        from tf_fullbatch.data.sources.image_files import ImageFiles
        from tf_fullbatch.data.sources.image_reading import FileReader
        from tf_fullbatch.data.sources.users_arrays import dataset_of

        layout = layout_of(Path(name))
        classes = list(layout.splits["train"])
        files = {split: ImageFiles(by_class, classes) for split, by_class in layout.splits.items()}
        readers = {
            split: FileReader(
                name, some, self.image_size, self.shorter_side, self.random_resized_crop and split == "train"
            )
            for split, some in files.items()
        }
        images = self._images(readers, {split: len(some) for split, some in files.items()})
        parts = {split: (images[split], some.targets) for split, some in files.items()}
        return replace(dataset_of(name, parts), test_split=layout.test_split, class_names=tuple(classes))

    def _images(self, readers: dict[str, Any], samples: dict[str, int]) -> dict[str, Any]:
        """Split -> its images."""
        from tf_fullbatch.data.sources import image_reading

        needed = sum(image_reading.decoded_bytes(readers[split], n) for split, n in samples.items())
        made = image_reading.streamed if self.streams(needed) else image_reading.read_images
        return {split: made(readers[split], n) for split, n in samples.items()}

    @property
    def stays_in_files(self) -> bool | None:
        """Whether images stay in their files; None where memory decides."""
        return {"on": True, "off": False, "auto": True if self.random_resized_crop else None}[
            self.stream_images
        ]

    def streams(self, needed: float, memory: float | None = None) -> bool:
        """Whether images that would take so many bytes stay in their files.

        Args:
            needed: Bytes of all of them, decoded.
            memory: Bytes of a host's memory; None for what is free here.
        """
        import psutil

        if self.stays_in_files is not None:
            return self.stays_in_files
        there = psutil.virtual_memory().available if memory is None else memory
        return needed > STREAMED_SHARE * there

    def check_there(self, name: str) -> None:
        """See the base."""
        check_folder(Path(name))

    def has_validation(self, name: str, data_dir: str | None) -> bool:
        """Whether it has a folder of them."""
        return "validation" in layout_of(Path(name)).splits

    def count_training_samples(self, name: str, data_dir: str | None) -> int:
        """Files of images to train on."""
        return sum(len(files.names) for files in layout_of(Path(name)).splits["train"].values())
