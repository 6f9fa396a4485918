"""Gaussian numbers in the place of inputs."""

import math

import numpy as np

from tf_fullbatch.data.draws import drawn_bits, uniforms

_CHUNK_NUMBERS = 1 << 21


def gaussian_like(
    shape: tuple[int, ...],
    sample_ids: np.ndarray,
    mean: np.ndarray,
    std: np.ndarray,
    *,
    seed: int,
    split: str,
) -> np.ndarray:
    """Normal numbers by Box and Muller's transform of draws of (seed, split, sample id, place).

    Args:
        shape: Of one sample, `(..., channels)`.
        sample_ids: int64 `[samples]`.
        mean: `[channels]`, of each channel.
        std: `[channels]`.
        seed: The run's.
        split: Whose ids these are: samples of two splits may have the same.

    Returns:
        float32 `[samples, *shape]`, `mean + std z`, neither rounded to pixels nor clipped.

    Source: Zhang et al. 2017 (arXiv 1611.03530), section 2, "Gaussian".
    """
    size = math.prod(shape)
    found = np.empty((len(sample_ids), size // len(mean), len(mean)), np.float32)
    step = max(1, _CHUNK_NUMBERS // size)
    for start in range(0, len(sample_ids), step):
        bits = drawn_bits(seed, f"gaussian_inputs of {split}", sample_ids[start : start + step], 2 * size)
        first, second = uniforms(bits).reshape(len(bits), 2, size).swapaxes(0, 1)
        normal = np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * math.pi * second)  # 1 - u in (0, 1]
        found[start : start + step] = mean + std * normal.reshape(len(bits), -1, len(mean))
    return found.reshape(len(sample_ids), *shape)
