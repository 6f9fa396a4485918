"""Shuffled pixels: the same numbers at other places."""

import numpy as np

from tf_fullbatch.data.controls.settings import FIXED
from tf_fullbatch.data.draws import drawn_bits

_CHUNK_PLACES = 1 << 22


def shuffled_pixels(
    inputs: np.ndarray, sample_ids: np.ndarray, *, seed: int, kind: str, split: str
) -> np.ndarray:
    """Inputs whose places are permuted; the channels of a place stay together.

    A permutation sorts keys drawn of (seed, place), or of (seed, split, sample id, place).

    Args:
        inputs: `[samples, places..., channels]`; of `[samples, numbers]` the numbers are the places.
        sample_ids: int64 `[samples]`.
        seed: The run's.
        kind: "fixed", one permutation of all samples of all splits, or "per_sample", one of each.
        split: Whose ids these are: samples of two splits may have the same.

    Source: Zhang et al. 2017 (arXiv 1611.03530), section 2, "shuffled pixels" and "random pixels".
    """
    channels = inputs.shape[-1] if inputs.ndim > 2 else 1
    places = inputs.reshape(len(inputs), -1, channels)
    if kind == FIXED:
        keys = drawn_bits(seed, "pixel_shuffle", np.zeros(1, np.int64), places.shape[1])
        return places[:, np.argsort(keys[0])].reshape(inputs.shape)
    found = np.empty_like(places)
    step = max(1, _CHUNK_PLACES // places.shape[1])
    for start in range(0, len(places), step):
        ids = sample_ids[start : start + step]
        order = np.argsort(drawn_bits(seed, f"pixel_shuffle of {split}", ids, places.shape[1]), axis=1)
        found[start : start + step] = np.take_along_axis(
            places[start : start + step], order[..., np.newaxis], 1
        )
    return found.reshape(inputs.shape)
