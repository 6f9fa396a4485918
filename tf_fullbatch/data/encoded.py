"""Images that stay in their files: what looks like an array of pixels, and decodes the rows that are asked for."""

import math
from typing import Any, NamedTuple, Protocol

import numpy as np


class Reader(Protocol):
    """Decodes images; several threads may ask at once.

    Attributes:
        random_crops: Whether what it decodes varies with the epoch.
    """

    random_crops: bool

    def read_rows(self, numbers: np.ndarray, draws: np.ndarray | None) -> np.ndarray:
        """The pixels of some images, uint8 `[rows, height, width, channels]`.

        Args:
            numbers: int64 `[rows]`, of the images; at least one.
            draws: uint32 `[rows, ...]`, what `draws` gives of them; None for the images without random crops.
        """

    def fingerprint(self, numbers: np.ndarray) -> str:
        """SHA-256, hexadecimal, of what some images are: their files (path, size, time of change), and how decoded."""

    def draws(self, sample_ids: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """The random bits of some samples, uint32 `[samples, ...]`, a function of (seed, epoch, sample id) alone."""


class Crops(NamedTuple):
    """Whose random crops are wanted of some rows.

    Attributes:
        sample_ids: int64 `[rows]`.
        seed: Of the run.
        epoch: Of training.
    """

    sample_ids: np.ndarray
    seed: int
    epoch: int


class EncodedImages:
    """Images uint8 `[samples, height, width, channels]` of which none is in memory.

    Args:
        reader: Decodes them.
        numbers: int64 `[samples]`, the reader's number of each.
        shape: Height, width and channels.
    """

    def __init__(self, reader: Reader, numbers: np.ndarray, shape: tuple[int, int, int]):
        self._reader = reader
        self._numbers = numbers
        self._random_crops = reader.random_crops
        self.shape = (len(numbers), *shape)
        self.dtype = np.dtype(np.uint8)
        self.ndim = 4

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def nbytes(self) -> int:
        """Bytes that they would take as an array."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Numbers that they would be as an array."""
        return math.prod(self.shape)

    @property
    def random_crops(self) -> bool:
        """Whether they vary with the epoch."""
        return self._random_crops

    def __getitem__(self, rows: Any) -> np.ndarray:
        """The pixels of some rows (an index, a slice or an array of indices), without random crops."""
        if isinstance(rows, int | np.integer):
            return self.decoded(np.array([rows]))[0]
        return self.decoded(np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError("images in files are decoded by rows: index them, or load them whole by [:].")

    def decoded(self, rows: np.ndarray, crops: Crops | None = None) -> np.ndarray:
        """The pixels of some rows, uint8 `[rows, height, width, channels]`.

        Args:
            rows: int64 `[rows]`.
            crops: Whose random crops they are, where images have such; None for the images without any.

        Raises:
            UserError: An image does not decode.
        """
        numbers = self._numbers[rows]
        if not len(numbers):
            return np.empty((0, *self.shape[1:]), np.uint8)
        draws = self._reader.draws(*crops) if crops is not None and self._random_crops else None
        return self._reader.read_rows(numbers, draws)

    def fingerprint(self) -> str:
        """See `Reader.fingerprint`."""
        return self._reader.fingerprint(self._numbers)

    def select(self, rows: np.ndarray) -> "EncodedImages":
        """Some rows, in that order; nothing is decoded."""
        return self._like(self._numbers[rows], self._random_crops)

    def without_random_crops(self) -> "EncodedImages":
        """The same images, the same in every epoch: to evaluate on."""
        return self._like(self._numbers, False)

    def _like(self, numbers: np.ndarray, random_crops: bool) -> "EncodedImages":
        height, width, channels = self.shape[1:]
        made = EncodedImages(self._reader, numbers, (height, width, channels))
        made._random_crops = random_crops
        return made


def selected(array: Any, rows: Any) -> Any:
    """Some rows of an array, copied; of images in files without decoding them."""
    return array.select(rows) if isinstance(array, EncodedImages) else array[rows]


def decoded(array: Any, rows: Any, crops: Crops | None = None) -> np.ndarray:
    """Some rows of an array; of images in files decoded, see `EncodedImages.decoded`."""
    if not isinstance(array, EncodedImages):
        return array[rows]
    return array.decoded(np.arange(len(array))[rows] if isinstance(rows, slice) else rows, crops)
