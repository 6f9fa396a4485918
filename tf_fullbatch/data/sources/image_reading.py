"""Image files decoded: some of them, or all into one array."""

import contextlib
import hashlib
import os

import numpy as np
import psutil
import tensorflow as tf

from tf_fullbatch.core.random_bits import RESIZED_CROP_STREAMS, random_bits
from tf_fullbatch.data.encoded import EncodedImages
from tf_fullbatch.data.sources.decoding import decoder
from tf_fullbatch.data.sources.image_files import ImageFiles
from tf_fullbatch.errors import UserError

_STREAMS = np.array(RESIZED_CROP_STREAMS, np.int64)[:, np.newaxis]
_PIECE_BYTES = 64 * 2**20


class FileReader:
    """Decodes the files of a split; see `data.encoded.Reader`.

    Args:
        name: Of the data set, as --dataset has it.
        files: PNG, JPEG, BMP or GIF (its first frame); at least one.
        size: Height and width to bring each image to; None where all have one size.
        shorter_side: Pixels to which the shorter side is brought before a square of `size` is cut out of the middle;
            None for the central square of the shorter side.
        random_crops: Whether images are random crops where random bits are given, see `pixels.random_resized_crop`.

    Attributes:
        shape: Height, width and channels of the first.

    Raises:
        UserError: The first does not decode.
    """

    def __init__(
        self,
        name: str,
        files: ImageFiles,
        size: int | None,
        shorter_side: int | None = None,
        random_crops: bool = False,
    ):
        self.random_crops = random_crops
        self._name = name
        self._files = files
        self._size = size
        self._shorter_side = shorter_side
        self.shape: tuple[int, int, int] = self._alone(np.array([0]), None).shape[1:]

    def read_rows(self, numbers: np.ndarray, draws: np.ndarray | None = None) -> np.ndarray:
        """See `data.encoded.Reader.read_rows`.

        Raises:
            UserError: An image does not decode, or is of another size than the first where none is given.
        """
        # TensorFlow's own error may name a file whose name is not UTF-8.
        with contextlib.suppress(tf.errors.OpError, UnicodeDecodeError):
            found = self._decoded(numbers, draws)
            if found.shape[1:] == self.shape:
                return found
        # One by one, so that the first that fails is named.
        return np.concatenate([self._one(numbers, draws, row) for row in range(len(numbers))])

    def fingerprint(self, numbers: np.ndarray) -> str:
        """See `data.encoded.Reader.fingerprint`."""
        digest = hashlib.sha256(f"{self._size} {self._shorter_side}\n".encode())
        for number in numbers:
            path = self._files.path(int(number))
            found = path.stat()
            digest.update(os.fsencode(path) + f" {found.st_size} {found.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def draws(self, sample_ids: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """The random bits of some samples, uint32 `[samples, 40]`, see `pixels.random_resized_crop`."""
        return random_bits(seed, epoch, tf.constant(sample_ids, tf.int64), _STREAMS).numpy().T

    def _one(self, numbers: np.ndarray, draws: np.ndarray | None, row: int) -> np.ndarray:
        found = self._alone(numbers[row : row + 1], None if draws is None else draws[row : row + 1])
        if found.shape[1:] != self.shape:
            first, other = (
                f"{self._files.path(one).name} has {height}x{width}"
                for one, (height, width, _) in ((0, self.shape), (int(numbers[row]), found.shape[1:]))
            )
            raise UserError(
                f"--dataset={self._name}: its images vary in size ({first}, {other}): give the one they are brought to "
                "by --image_size."
            )
        return found

    def _alone(self, number: np.ndarray, draws: np.ndarray | None) -> np.ndarray:
        path = self._files.path(int(number[0]))
        try:
            path.read_bytes()
            return self._decoded(number, draws)
        except (tf.errors.InvalidArgumentError, OSError) as error:
            raise UserError(
                f"--dataset={self._name}: {path} does not decode as an image: mend it or take it out."
            ) from error

    def _decoded(self, numbers: np.ndarray, draws: np.ndarray | None) -> np.ndarray:
        decode = decoder(self._size, self._shorter_side, draws is not None)
        with tf.device("CPU:0"):
            images = decode(self._files.paths(numbers), *(() if draws is None else (draws,)))
        return np.asarray(images)  # without a copy


def decoded_bytes(reader: FileReader, samples: int) -> int:
    """What so many images take as an array."""
    height, width, channels = reader.shape
    return samples * height * width * channels


def streamed(reader: FileReader, samples: int) -> EncodedImages:
    """The images, left in their files."""
    return EncodedImages(reader, np.arange(samples, dtype=np.int64), reader.shape)


def read_images(reader: FileReader, samples: int) -> np.ndarray:
    """uint8 `[samples, height, width, 3]`.

    Raises:
        UserError: An image does not decode, they vary in size and no size is given, or they do not fit into memory.
    """
    needed, available = decoded_bytes(reader, samples), psutil.virtual_memory().available
    if needed > available:
        raise UserError(
            f"its images take {needed / 2**30:.1f} GiB of memory, of which {available / 2**30:.1f} GiB are available; "
            "choose a smaller --image_size, or leave --stream_images=off out."
        )
    images = np.empty((samples, *reader.shape), np.uint8)
    piece = max(1, _PIECE_BYTES * samples // max(1, needed))
    for start in range(0, samples, piece):
        numbers = np.arange(start, min(start + piece, samples))
        images[start : start + piece] = reader.read_rows(numbers)
    return images
