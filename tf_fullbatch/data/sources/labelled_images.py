"""Labelled images in host memory: what every data source gives."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelledImages:
    """A set of samples in a fixed order.

    Attributes:
        images: uint8 [samples, height, width, channels], raw pixels.
        labels: int32 [samples], classes 0..num_classes-1.
        sample_ids: int64 [samples], each sample's position in the source's fixed order.
        num_classes: Number of classes C.
    """

    images: np.ndarray
    labels: np.ndarray
    sample_ids: np.ndarray
    num_classes: int

    def __post_init__(self) -> None:
        expected = {"images": (np.uint8, 4), "labels": (np.int32, 1), "sample_ids": (np.int64, 1)}
        for field, (dtype, rank) in expected.items():
            array = getattr(self, field)
            if array.dtype != dtype or array.ndim != rank or len(array) != len(self.images):
                raise ValueError(
                    f"{field} is {array.dtype}{list(array.shape)}; expected {np.dtype(dtype)} of rank {rank} "
                    f"and {len(self.images)} samples"
                )

    def __len__(self) -> int:
        return len(self.images)

    def select(self, positions: np.ndarray) -> "LabelledImages":
        """The samples at `positions` (int [selected]), copied, in that order; they keep their sample ids."""
        return LabelledImages(
            images=self.images[positions],
            labels=self.labels[positions],
            sample_ids=self.sample_ids[positions],
            num_classes=self.num_classes,
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Dataset:
    """A data set by name.

    Attributes:
        name: The name it was asked for.
        train: The official training set, whole.
        test: The labelled samples to test on, or None where the source has none.
        test_split: The source's name of the split `test` was read from ("test" or "validation"), or None.
    """

    name: str
    train: LabelledImages
    test: LabelledImages | None
    test_split: str | None

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.train.num_classes


def in_order(images: np.ndarray, labels: np.ndarray, num_classes: int) -> LabelledImages:
    """A whole split, whose samples already stand in the source's order."""
    sample_ids = np.arange(len(images), dtype=np.int64)
    return LabelledImages(images=images, labels=labels, sample_ids=sample_ids, num_classes=num_classes)
