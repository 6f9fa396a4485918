"""Label noise and random labels."""

import numpy as np

from tf_fullbatch.data.controls.settings import OTHER
from tf_fullbatch.data.draws import drawn_bits, uniforms


def noisy_labels(
    labels: np.ndarray,
    sample_ids: np.ndarray,
    num_classes: int,
    *,
    seed: int,
    probability: float,
    convention: str,
) -> np.ndarray:
    """Symmetric label noise.

    A sample draws u and v, uniform in [0, 1), of (seed, sample id). Where `u < p` its label y of K becomes, by
    convention,

    - uniform: `floor(K v)`, y itself among them: the label is wrong with probability `p (K - 1) / K`;
    - other: `r = floor((K - 1) v)` where that is below y, else `r + 1`: it is wrong with probability p.

    Samples whose label a smaller p changes have the same wrong label at every larger one.

    Args:
        labels: int `[samples]`, 0 to K - 1.
        sample_ids: int64 `[samples]`.
        num_classes: K, at least 2.
        seed: The run's.
        probability: p in [0, 1].
        convention: "uniform" or "other".

    Returns:
        `[samples]`, of the dtype of `labels`.
    """
    changes, new = uniforms(drawn_bits(seed, "label_noise", sample_ids, 2)).T
    if convention == OTHER:
        drawn = np.floor((num_classes - 1) * new).astype(labels.dtype)
        drawn += drawn >= labels
    else:
        drawn = np.floor(num_classes * new).astype(labels.dtype)
    return np.where(changes < probability, drawn, labels)


def wrong_probability(num_classes: int, probability: float, convention: str) -> float:
    """The probability that noise makes a label wrong, see `noisy_labels`."""
    return probability if convention == OTHER else probability * (num_classes - 1) / num_classes
