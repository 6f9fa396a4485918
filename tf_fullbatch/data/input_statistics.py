"""Mean and standard deviation of a training set's inputs."""

import math

import numpy as np

from tf_fullbatch.data.encoded import EncodedImages
from tf_fullbatch.data.statistics_cache import kept_statistics

_STATISTICS_CHUNK_BYTES = 1 << 22


def input_statistics(inputs: np.ndarray | EncodedImages) -> tuple[np.ndarray, np.ndarray]:
    """The mean and standard deviation (the population's) of each channel, the inputs' last axis.

    Images in files are decoded for it, without random crops; of many it is kept, see `statistics_cache`.

    Args:
        inputs: `[samples, ..., channels]`, at least one number: uint8 pixels, or float32.

    Returns:
        mean and std, float64 [channels], of uint8 in units of pixel / 255 and exact. A channel of one value has std 0.
    """
    if inputs.dtype.name not in ("uint8", "float32") or inputs.ndim < 2 or not inputs.size:
        raise ValueError(
            f"inputs are {inputs.dtype}{list(inputs.shape)}; expected non-empty uint8 or float32 of rank 2 or more"
        )
    if isinstance(inputs, EncodedImages):
        return kept_statistics(inputs, _of_pixels)
    if inputs.strides[0] == 0:  # a view of one sample that it repeats
        inputs = inputs[:1]
    return _of_pixels(inputs) if inputs.dtype == np.uint8 else _of_numbers(inputs)


def _of_numbers(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = inputs.reshape(-1, inputs.shape[-1])
    mean = rows.mean(axis=0, dtype=np.float64)
    step = max(1, _STATISTICS_CHUNK_BYTES // rows[0].nbytes)
    squares = np.zeros(rows.shape[1])
    for start in range(0, len(rows), step):
        squares += ((rows[start : start + step] - mean) ** 2).sum(axis=0)
    return mean, np.sqrt(squares / len(rows))


def _of_pixels(images: np.ndarray | EncodedImages) -> tuple[np.ndarray, np.ndarray]:
    """From an integer histogram n_v per channel, N = sum n_v, S_k = sum n_v v^k:
    `mean = S_1 / (255 N)`, `std = sqrt(N S_2 - S_1^2) / (255 N)`."""
    channels = images.shape[-1]
    counts = np.zeros((channels, 256), np.int64)
    step = max(1, _STATISTICS_CHUNK_BYTES // math.prod(images.shape[1:]))
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
