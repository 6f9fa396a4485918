"""Labelled images in host memory: scikit-learn's digits, or image classification from TensorFlow Datasets."""

import dataclasses
import math

import numpy as np

from tf_fullbatch.data.splits import split_train
from tf_fullbatch.errors import UserError

DIGITS = "digits"
_DIGITS_TEST_SIZE = 450
_STATISTICS_CHUNK_BYTES = 1 << 22


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


def load_dataset(name: str, *, data_dir: str | None = None, image_size: int | None = None) -> Dataset:
    """Loads a data set into host memory.

    Args:
        name: "digits" (scikit-learn's handwritten digits, 8x8, needs no download), or what
            `tfds.builder` takes: a name such as "cifar10", with a config or version where there are several.
        data_dir: Existing folder of prepared TFDS sets, or where to prepare one; None is TFDS's own default.
        image_size: Height and width in pixels that images are brought to: the central square of the shorter
            side, resized bilinearly with antialiasing. Needed where a source's images vary in size.

    Returns:
        The training set and, where the source has one, the labelled test set ("test", else "validation", as
        `Dataset.test_split` says). The order is the source's official one where the samples' ids tell it
        (`train_00042`), else the order of its files.

    Raises:
        UserError: The set is unknown, not there and not to be had, of another kind, or too large for memory.
    """
    if image_size is not None and image_size < 1:
        raise UserError(f"--image_size={image_size}: give a number of pixels, 1 or more")
    if name == DIGITS:
        return _load_digits(image_size)
    return _load_tfds(name, data_dir, image_size)


def count_training_samples(name: str, data_dir: str | None) -> int | None:
    """Samples of a data set's whole training set; None where that is not known before it is prepared.

    Raises:
        UserError: There is no such data set or folder.
    """
    if name == DIGITS:
        return len(_load_digits(None).train)
    from tf_fullbatch.data.sources import tfds_source  # here, since it imports TensorFlow

    return tfds_source.count_training_samples(name, data_dir=data_dir)


def pixel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exact mean and standard deviation of each channel, in units of pixel / 255.

    From an integer histogram n_v per channel, N = sum n_v, S_k = sum n_v v^k:
    `mean = S_1 / (255 N)`, `std = sqrt(N S_2 - S_1^2) / (255 N)` (the population's).

    Args:
        images: uint8 [samples, height, width, channels], at least one pixel.

    Returns:
        mean and std, float64 [channels]. A channel of one value has std 0.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
        raise ValueError(f"images are {images.dtype}{list(images.shape)}; expected non-empty uint8 of rank 4")
    channels = images.shape[-1]
    counts = np.zeros((channels, 256), np.int64)
    step = max(1, _STATISTICS_CHUNK_BYTES // images[0].size)
    for start in range(0, len(images), step):
        chunk = images[start : start + step].reshape(-1, channels)
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[:, channel], minlength=256)
    means, deviations = [], []
    for histogram in counts.tolist():  # Python's integers: N * S_2 passes 2^63 on large sets
        total = sum(histogram)
        first = sum(n * v for v, n in enumerate(histogram))
        second = sum(n * v * v for v, n in enumerate(histogram))
        means.append(first / (255 * total))
        deviations.append(math.sqrt(total * second - first**2) / (255 * total))
    return np.array(means), np.array(deviations)


def _in_order(images: np.ndarray, labels: np.ndarray, num_classes: int) -> LabelledImages:
    """A whole split, whose samples already stand in the source's order."""
    sample_ids = np.arange(len(images), dtype=np.int64)
    return LabelledImages(images=images, labels=labels, sample_ids=sample_ids, num_classes=num_classes)


def _load_tfds(name: str, data_dir: str | None, image_size: int | None) -> Dataset:
    """An image-classification set of TensorFlow Datasets."""
    from tf_fullbatch.data.sources import tfds_source  # here, since it imports TensorFlow

    builder = tfds_source.open_builder(name, data_dir=data_dir, other_names=[DIGITS])
    train, test, test_split = tfds_source.read_splits(builder, image_size=image_size)
    num_classes = tfds_source.num_classes(builder)
    return Dataset(
        name=name,
        train=_in_order(*train, num_classes),
        test=None if test is None else _in_order(*test, num_classes),
        test_split=test_split,
    )


def _load_digits(image_size: int | None) -> Dataset:
    """scikit-learn's digits: 1,797 of 8x8 pixels, one channel; pixel v in 0..16 becomes round(255 v / 16).

    The test set is the class-balanced validation set of 450 that `split_train` holds out; 1,347 remain.
    """
    from sklearn import datasets

    if image_size not in (None, 8):
        raise UserError(f"--image_size={image_size}: the digits are 8x8 pixels; leave it out")
    digits = datasets.load_digits()
    pixels = (digits.images.astype(np.int64) * 255 + 8) // 16
    images = pixels.astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.int32)
    train, test = split_train(labels, num_classes=10, train_size=None, validation_size=_DIGITS_TEST_SIZE)
    return Dataset(
        name=DIGITS,
        train=_in_order(images[train], labels[train], 10),
        test=_in_order(images[test], labels[test], 10),
        test_split="test",
    )
