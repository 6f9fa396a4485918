"""How much of a mixed image is its own: lambda of Beta(alpha, alpha), drawn in whole numbers."""

import numpy as np
import tensorflow as tf

from tf_fullbatch.core.random_bits import random_bits, uniform_int

ONE = 1 << 16
"""Shares are whole multiples of 2^-16."""
_QUANTILES = 4096


def beta_quantiles(alpha: float) -> np.ndarray:
    """The quantiles (k + 1/2) / 4096 of Beta(alpha, alpha) in units of 2^-16, int64 `[4096]`, equally likely."""
    from scipy.special import betaincinv

    shares = betaincinv(alpha, alpha, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    return np.rint(shares * ONE).astype(np.int64)


def drawn(table: np.ndarray, none: int, probability: float, bits: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """An entry of a table for each sample, or `none` with the rest of the probability; int64 `[batch]`.

    Args:
        table: int64 `[4096]`.
        none: What stands for no mixing.
        probability: Of mixing.
        bits: uint32 `[batch]` each: whether, and which.
    """
    whether, which = bits
    mixed = uniform_int(whether, ONE) < round(probability * ONE)
    return tf.where(mixed, tf.gather(tf.constant(table), uniform_int(which, len(table))), none)


def draws(seed: int, epoch: tf.Tensor, sample_ids: tf.Tensor, first: int, count: int) -> list[tf.Tensor]:
    """Bits of so many streams, uint32 `[batch]` each."""
    streams = first + tf.range(count, dtype=tf.int64)[:, tf.newaxis]
    return tf.unstack(random_bits(seed, epoch, sample_ids, streams), count)
