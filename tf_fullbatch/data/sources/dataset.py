"""Samples with targets in host memory: what every data source gives."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import optree

from tf_fullbatch.data.classes import class_numbers
from tf_fullbatch.data.encoded import EncodedImages, selected
from tf_fullbatch.errors import UserError

INPUT_DTYPES = ("uint8", "float32", "int32")
"""What inputs may be: pixels, numbers, tokens."""
TARGET_DTYPES = ("int32", "float32")
"""What targets may be: class numbers, numbers."""
_MOVED_BYTES = 1 << 24


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Split:
    """A set of samples in a fixed order.

    Attributes:
        inputs: `[samples, ...]`: raw pixels as uint8 `[samples, height, width, channels]` (or `EncodedImages`, which
            stay in their files), numbers as float32, or tokens as int32; of several inputs a tuple of such, or name ->
            inputs.
        targets: Class numbers as int32 `[samples]` (or `[samples, ...]`), or numbers as float32 `[samples, ...]`; of
            several outputs a tuple of such, or name -> targets.
        sample_ids: int64 `[samples]`, each sample's position in the source's fixed order.
        num_classes: What `num_classes` gives of the targets; other splits of the set have the same.
        vocabulary: Where inputs are one array of tokens, how many different ones the set may have, numbered from 0;
            other splits of the set have the same. Else None.
    """

    inputs: Any
    targets: Any
    sample_ids: np.ndarray
    num_classes: Any
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        for name, array in (("inputs", self.inputs), ("targets", self.targets)):
            for leaf in optree.tree_leaves(array):
                _check(name, leaf, INPUT_DTYPES if name == "inputs" else TARGET_DTYPES, len(self))
        _check("sample_ids", self.sample_ids, ("int64",), len(self))

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def are_images(self) -> bool:
        """Whether inputs are pixels of images."""
        return self.is_one_array and self.inputs.dtype == np.uint8 and self.inputs.ndim == 4

    @property
    def is_one_array(self) -> bool:
        """Whether inputs are one array, not several."""
        return isinstance(self.inputs, np.ndarray | EncodedImages)

    @property
    def random_crops(self) -> bool:
        """Whether they are random crops of images, new in every epoch."""
        return isinstance(self.inputs, EncodedImages) and self.inputs.random_crops

    @property
    def to_evaluate(self) -> "Split":
        """The same samples without random crops."""
        if not isinstance(self.inputs, EncodedImages):
            return self
        return dataclasses.replace(self, inputs=self.inputs.without_random_crops())

    @property
    def has_classes(self) -> bool:
        """Whether each sample is of one class."""
        return (
            isinstance(self.targets, np.ndarray) and self.targets.dtype.kind == "i" and self.targets.ndim == 1
        )

    @property
    def input_shape(self) -> Any:
        """The shape of one sample's inputs; of several inputs a structure of shapes."""
        return optree.tree_map(lambda array: tuple(array.shape[1:]), self.inputs)

    def select(self, positions: np.ndarray) -> "Split":
        """The samples at `positions` (int [selected]), copied, in that order; they keep their sample ids.

        Images that stay in their files are not decoded.
        """
        return Split(
            inputs=optree.tree_map(lambda array: selected(array, positions), self.inputs),
            targets=optree.tree_map(lambda array: array[positions], self.targets),
            sample_ids=self.sample_ids[positions],
            num_classes=self.num_classes,
            vocabulary=self.vocabulary,
        )

    def of_classes(self, numbers: Sequence[int]) -> "Split":
        """The samples of some classes, in order; the classes are numbered by their places in `numbers`."""
        new = np.full(self.num_classes, -1, np.int32)
        new[list(numbers)] = np.arange(len(numbers))
        labels = new[self.targets]
        chosen = self.select(np.flatnonzero(labels >= 0))
        return dataclasses.replace(chosen, targets=labels[labels >= 0], num_classes=len(numbers))

    def keep(self, positions: np.ndarray) -> "Split":
        """As `select` of ascending positions, but without a second copy of large arrays: this split is no more."""
        return Split(
            inputs=optree.tree_map(lambda array: _moved(array, positions), self.inputs),
            targets=optree.tree_map(lambda array: selected(array, positions), self.targets),
            sample_ids=self.sample_ids[positions],
            num_classes=self.num_classes,
            vocabulary=self.vocabulary,
        )

    def described(self, what: str) -> str:
        """Dtype and shape of the "inputs" or "targets" of a sample, in words."""
        found = optree.tree_map(lambda array: f"{array.dtype}{list(array.shape[1:])}", getattr(self, what))
        return found if isinstance(found, str) else str(found).replace("'", "")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Dataset:
    """A data set by name.

    Attributes:
        name: The name it was asked for.
        train: The official training set, whole.
        test: The samples with targets to test on, or None where the source has none.
        test_split: The source's name of the split `test` was read from ("test" or "validation"), or None.
        validation: The source's own samples to validate on; None where they are held out of the training set.
        class_names: Names of its classes, by number; None where they have none.
    """

    name: str
    train: Split
    test: Split | None
    test_split: str | None
    validation: Split | None = None
    class_names: tuple[str, ...] | None = None

    @property
    def num_classes(self) -> Any:
        """What `num_classes` gives of the training targets."""
        return self.train.num_classes

    def of_classes(self, value: str) -> "Dataset":
        """The set of the samples of some classes alone.

        Args:
            value: Of --classes, see `data.classes`.

        Raises:
            UserError: Its targets are not one class per sample, or it has no such classes.
        """
        if not self.train.has_classes:
            raise UserError(
                f"--classes={value}: the targets of --dataset={self.name} are {self.train.described('targets')}, not "
                "one class per sample; leave it out."
            )
        numbers = class_numbers(value, self.name, self.num_classes, self.class_names)
        kept = {
            name: split.of_classes(numbers)
            for name in ("train", "test", "validation")
            if (split := getattr(self, name)) is not None
        }
        empty = [split for split in kept.values() if not len(split)]
        if empty:
            raise UserError(f"--classes={value}: a split of --dataset={self.name} has no sample of them.")
        names = None if self.class_names is None else tuple(self.class_names[number] for number in numbers)
        return dataclasses.replace(self, class_names=names, **kept)


def in_order(inputs: Any, targets: Any, num_classes: Any, vocabulary: int | None = None) -> Split:
    """A whole split, whose samples already stand in the source's order; see `Split`."""
    samples = len(optree.tree_leaves(inputs)[0])
    return Split(
        inputs=inputs,
        targets=targets,
        sample_ids=np.arange(samples, dtype=np.int64),
        num_classes=num_classes,
        vocabulary=vocabulary,
    )


def num_classes(targets: Any) -> Any:
    """What a network gives for each sample or place: of class numbers the classes C, the highest and one; of other
    numbers `[samples, ..., k]` their k, 1 of `[samples]`. Of a structure of targets a structure of that.
    """
    return optree.tree_map(_outputs_of, targets)


def _moved(array: Any, positions: np.ndarray) -> Any:
    """The rows at ascending positions, moved to the front of their array where it may be written to."""
    if not isinstance(array, np.ndarray) or not array.flags.writeable:
        return selected(array, positions)
    step = max(1, _MOVED_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(positions), step):  # no row is written to before it has been read
        rows = array[positions[start : start + step]]
        array[start : start + len(rows)] = rows
    return array[: len(positions)]


def _outputs_of(targets: np.ndarray) -> int:
    if targets.dtype.kind == "i":
        return int(targets.max(initial=-1)) + 1
    return targets.shape[-1] if targets.ndim > 1 else 1


def _check(name: str, array: np.ndarray, dtypes: tuple[str, ...], samples: int) -> None:
    least = 2 if name == "inputs" else 1
    other_rank = array.ndim < least or (name == "sample_ids" and array.ndim > 1)
    if array.dtype.name not in dtypes or other_rank or len(array) != samples:
        raise ValueError(
            f"{name} is {array.dtype}{list(array.shape)}; expected {' or '.join(dtypes)} of rank {least} or more and "
            f"{samples} samples"
        )
