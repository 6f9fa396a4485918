"""The jackknife: how far a statistic of micro-batches would move with other ones, by leaving out each in turn."""

import numpy as np


def standard_error(without_each: np.ndarray) -> float:
    """The jackknife's standard error `sqrt((K - 1) / K sum_b (t_b - mean t)^2)`.

    Args:
        without_each: `[K]`, `t_b`, the statistic of all micro-batches but b.

    Source: Efron and Stein 1981, The jackknife estimate of variance.
    """
    count = len(without_each)
    spread = np.sum((without_each - np.mean(without_each)) ** 2)
    return float(np.sqrt((count - 1) / count * spread))


def means_without_each(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`[K]`, the weighted mean of all values but each one.

    Args:
        values: `[K]`.
        weights: `[K]`, at least two of them positive.
    """
    terms = weights * values
    return (terms.sum() - terms) / (weights.sum() - weights)
