"""Image files as one array."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import tensorflow as tf

from tf_fullbatch.data.sources.image_files import ImageFiles
from tf_fullbatch.data.sources.pixels import resize_square
from tf_fullbatch.errors import UserError


def read_images(files: ImageFiles, size: int | None) -> np.ndarray:
    """uint8 `[files, height, width, 3]`.

    Args:
        files: PNG, JPEG, BMP or GIF (its first frame); at least one.
        size: Height and width to bring each image to; None where all have one size.

    Raises:
        UserError: An image does not decode, they vary in size and no size is given, or they do not fit into memory.
    """
    first = _decoded(files.path(0), size)
    needed, available = len(files) * first.nbytes, psutil.virtual_memory().available
    if needed > available:
        raise UserError(
            f"its images take {needed / 2**30:.1f} GiB of memory, of which {available / 2**30:.1f} GiB are available; "
            "choose a smaller --image_size."
        )
    images = np.empty((len(files), *first.shape), np.uint8)

    def read(index: int) -> None:
        pixels = _decoded(files.path(index), size)
        if pixels.shape != first.shape:
            raise UserError(
                f"its images vary in size ({files.path(0).name} has {first.shape[0]}x{first.shape[1]}, "
                f"{files.path(index).name} {pixels.shape[0]}x{pixels.shape[1]}): give the one "
                "they are brought to by --image_size."
            )
        images[index] = pixels

    with ThreadPoolExecutor() as pool:
        list(pool.map(read, range(len(files))))
    return images


def _decoded(file: Path, size: int | None) -> np.ndarray:
    try:
        pixels = tf.io.decode_image(file.read_bytes(), channels=3, expand_animations=False)
    except (tf.errors.InvalidArgumentError, OSError) as error:
        raise UserError(f"{file} does not decode as an image: mend it or take it out.") from error
    return (pixels if size is None else resize_square(pixels, size)).numpy()
