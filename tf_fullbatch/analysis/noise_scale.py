"""The gradient noise scale: how many samples it takes until the noise of a mean gradient is as long as the gradient."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.partition import micro_batch_sizes, refuse_one
from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective


class NoiseScale(NamedTuple):
    """Noise and signal of gradients; numbers, or arrays of one per step.

    Attributes:
        covariance_trace: S, the trace of the covariance of the samples' gradients.
        squared_signal: `|G|^2` of the distribution that the set is drawn from; may be negative, as an estimate.
        of_the_set: `S / |g|^2`, the noise scale with the set itself as the distribution.
    """

    covariance_trace: np.ndarray
    squared_signal: np.ndarray
    of_the_set: np.ndarray

    @property
    def simple(self) -> np.ndarray:
        """`B_simple = S / |G|^2` in samples; nan where the estimate of `|G|^2` is not positive."""
        return _ratio(self.covariance_trace, self.squared_signal)

    def averaged(self) -> float:
        """B_simple of arrays over steps: S and `|G|^2` averaged separately (McCandlish et al. 2018, appendix A.1)."""
        return float(_ratio(np.mean(self.covariance_trace), np.mean(self.squared_signal)))


def noise_scale_of(
    mean_squared_norm: np.ndarray | float,
    squared_norm: np.ndarray | float,
    samples: np.ndarray | int,
    micro_batches: np.ndarray | int,
) -> NoiseScale:
    """The noise scale out of two norms that every step has anyway.

    With N samples in K micro-batches of `n_b`, `M = sum_b (n_b / N) |g_b|^2` and `g = sum_b (n_b / N) g_b`,

        S = sum_b n_b |g_b - g|^2 / (K - 1) = N (M - |g|^2) / (K - 1),      |G|^2 = |g|^2 - S / N.

    With equal micro-batches, `n_b = b`, these are the estimators of McCandlish et al. 2018 (arXiv 1812.06162, appendix
    A.1) at the batch sizes b and N, `S = (M - |g|^2) / (1/b - 1/N)` and `|G|^2 = (N |g|^2 - b M) / (N - b)`. A ragged
    last micro-batch stays in: a random block of `n_b` out of N has `E|g_b - g|^2 = (1/n_b - 1/N) tr`, whatever the
    other sizes, so over random partitions the mean of S is exactly tr, the trace of the samples' covariance with the
    denominator N - 1, wherever samples do not mix.

    Args:
        mean_squared_norm: M, in metrics.csv `mean_squared_micro_batch_gradient_norm`.
        squared_norm: `|g|^2` of the loss without penalty; in metrics.csv `unpenalised_gradient_norm` squared.
        samples: N, samples of the update batch.
        micro_batches: K, its micro-batches.

    Returns:
        Numbers, or arrays where arrays were given; in float64.

    Raises:
        UserError: There are fewer than two micro-batches.
    """
    refuse_one(int(np.min(micro_batches)))
    mean, norm = np.asarray(mean_squared_norm, np.float64), np.asarray(squared_norm, np.float64)
    trace = samples * (mean - norm) / (np.asarray(micro_batches) - 1)
    return NoiseScale(trace, norm - trace / samples, _ratio(trace, norm))


def noise_scale(objective: Objective, theta: Sequence[tf.Tensor] | None = None) -> NoiseScale:
    """The noise scale of an update batch, see `noise_scale_of`; one gradient evaluation per sample.

    Training records it of every step without a pass more (metrics.csv, `noise_scale`); this is for any other weights.

    Where batch normalisation or another layer mixes the samples of a micro-batch, and where augmentation or dropout
    draws, `g_b` is no mean of gradients that samples have by themselves: the figures are then per micro-batch, of the
    very gradients that training takes. Sample weights belong to the samples' losses; where a loss divides by their sum,
    or outputs are masked, micro-batches count by that sum in M and g, and S is no longer exactly unbiased.

    Args:
        objective: Of the update batch.
        theta: Tree, one array or tensor per trainable variable; None for the present weights.

    Raises:
        UserError: The update batch is one micro-batch, or theta does not fit.
    """
    sizes = micro_batch_sizes(objective)
    point = objective.value_and_gradient(theta)
    squared_norm = float(trees.squared_norm(point.gradient))
    return noise_scale_of(float(point.mean_squared_norm), squared_norm, int(sizes.sum()), len(sizes))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Their quotient; nan where the denominator is not positive."""
    positive = np.greater(denominator, 0)
    return np.where(positive, numerator / np.where(positive, denominator, 1), np.nan)[()]
