"""Labelled samples in host memory: what every data source gives."""

import dataclasses

import numpy as np

INPUT_DTYPES = ("uint8", "float32", "int32")
"""What inputs may be: pixels, numbers, tokens."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Split:
    """A set of samples in a fixed order.

    Attributes:
        inputs: `[samples, ...]`: raw pixels as uint8 `[samples, height, width, channels]`, numbers as float32, or
            tokens as int32.
        targets: int32 `[samples]`, classes 0..num_classes-1.
        sample_ids: int64 `[samples]`, each sample's position in the source's fixed order.
        num_classes: Number of classes C.
    """

    inputs: np.ndarray
    targets: np.ndarray
    sample_ids: np.ndarray
    num_classes: int

    def __post_init__(self) -> None:
        expected: dict[str, tuple[tuple[str, ...], int | None]] = {
            "inputs": (INPUT_DTYPES, None),
            "targets": (("int32",), 1),
            "sample_ids": (("int64",), 1),
        }
        for field, (dtypes, rank) in expected.items():
            array = getattr(self, field)
            if (
                array.dtype.name not in dtypes
                or array.ndim != (rank or max(array.ndim, 2))
                or len(array) != len(self.inputs)
            ):
                raise ValueError(
                    f"{field} is {array.dtype}{list(array.shape)}; expected {' or '.join(dtypes)} of rank "
                    f"{rank or '2 or more'} and {len(self.inputs)} samples"
                )

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def are_images(self) -> bool:
        """Whether inputs are pixels of images."""
        return self.inputs.dtype == np.uint8 and self.inputs.ndim == 4

    def select(self, positions: np.ndarray) -> "Split":
        """The samples at `positions` (int [selected]), copied, in that order; they keep their sample ids."""
        return Split(
            inputs=self.inputs[positions],
            targets=self.targets[positions],
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
        validation: The source's own samples to validate on; None where they are held out of the training set.
    """

    name: str
    train: Split
    test: Split | None
    test_split: str | None
    validation: Split | None = None

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.train.num_classes


def in_order(inputs: np.ndarray, targets: np.ndarray, num_classes: int) -> Split:
    """A whole split, whose samples already stand in the source's order."""
    sample_ids = np.arange(len(inputs), dtype=np.int64)
    return Split(inputs=inputs, targets=targets, sample_ids=sample_ids, num_classes=num_classes)
