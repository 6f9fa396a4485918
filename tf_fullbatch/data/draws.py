"""Draws of samples on the host, by a hash: functions of (seed, purpose, sample id, number of the draw) alone."""

import zlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mixed(z: np.ndarray) -> np.ndarray:
    """SplitMix64's output function, a bijection of 64-bit integers, elementwise.

    Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014 (`mix64variant13`).
    """
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def drawn_bits(seed: int, purpose: str, sample_ids: np.ndarray, count: int) -> np.ndarray:
    """Uniform 64-bit integers: of each sample `count` outputs of a SplitMix64 that (seed, purpose, id) seeds.

    Neither the order of the samples nor which others there are changes what one draws.

    Args:
        seed: The run's.
        purpose: What the draws are for; those of two purposes are independent.
        sample_ids: int64 `[samples]`.
        count: Draws of each sample.

    Returns:
        uint64 `[samples, count]`.
    """
    of_purpose = np.array([seed, zlib.crc32(purpose.encode())], np.uint64)
    key = mixed(mixed(of_purpose[:1] * _GOLDEN + _GOLDEN) + of_purpose[1:] * _GOLDEN)
    of_samples = mixed(mixed(key + (sample_ids.astype(np.uint64) + np.uint64(1)) * _GOLDEN))
    counter = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    return mixed(of_samples[:, np.newaxis] + counter)


def uniforms(bits: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1), float64, of 64 random bits each: the upper 53 of them, divided by 2^53."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
