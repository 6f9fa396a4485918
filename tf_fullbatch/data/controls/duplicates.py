"""Training samples that are there twice."""

import numpy as np

from tf_fullbatch.data.draws import drawn_bits, uniforms

COPY = 2**30
"""The copy of the sample with id i has the id `i + COPY`: no set has as many samples (`data.plan.MOST`)."""


def copied_positions(sample_ids: np.ndarray, copies: int | float, *, seed: int) -> np.ndarray:
    """Which samples are there twice: those of the lowest draws u of (seed, sample id), uniform in [0, 1).

    Args:
        sample_ids: int64 `[samples]`.
        copies: Their number (int, at most all), or the probability p of each (float): then those with `u < p`.
        seed: The run's.

    Returns:
        Positions, int64, ascending.
    """
    draws = uniforms(drawn_bits(seed, "duplicate", sample_ids, 1))[:, 0]
    if isinstance(copies, int):
        return np.sort(np.argsort(draws, kind="stable")[:copies])
    return np.flatnonzero(draws < copies)


def source_ids(sample_ids: np.ndarray) -> np.ndarray:
    """The id of the sample that each is, or is the copy of."""
    return sample_ids % COPY
