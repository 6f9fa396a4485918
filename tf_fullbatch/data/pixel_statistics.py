"""Mean and standard deviation of a training set's pixels, exactly."""

import math

import numpy as np

_STATISTICS_CHUNK_BYTES = 1 << 22


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
