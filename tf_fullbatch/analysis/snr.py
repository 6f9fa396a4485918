"""Signal to noise of gradients over micro-batches: of the gradient as a whole (SNR), and by parameter (GSNR)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis import jackknife
from tf_fullbatch.analysis.differences import DifferenceKernel
from tf_fullbatch.analysis.partition import refuse_one
from tf_fullbatch.core import trees
from tf_fullbatch.core.micro_batch import MicroBatch, StepScalars
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.passes import Contribution
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError


class SignalToNoise(NamedTuple):
    """Signal to noise of the gradients of micro-batches.

    Attributes:
        snr: `|g| / sqrt(sum_i var_i)`; nan where there is no noise at all.
        snr_standard_error: Jackknife's, over micro-batches; nan of two.
        gsnr: Mean over the parameters that have noise of `g_i^2 / var_i`; nan where none has.
        gsnr_standard_error: Jackknife's; nan where it was not asked for.
        noiseless: Parameters without noise, which GSNR leaves out.
    """

    snr: float
    snr_standard_error: float
    gsnr: float
    gsnr_standard_error: float
    noiseless: int


def signal_to_noise(
    objective: Objective,
    theta: Sequence[tf.Tensor] | None = None,
    *,
    gradient: Sequence[tf.Tensor] | None = None,
    gsnr_jackknife: bool = False,
) -> SignalToNoise:
    """Signal to noise over the K micro-batches of an update batch.

    With weights `w_b`, what micro-batches count for (their share of the samples), and `g = sum_b w_b g_b`, the noise of
    parameter i is

        var_i = K / (K - 1) sum_b w_b (g_bi - g_i)^2,

    of equal micro-batches the variance with the denominator K - 1; of others that of one of mean size. Without any
    signal `g_i^2 / var_i` is still about 1 / K. Where samples do not mix, micro-batches of b samples have b times the
    GSNR of single samples; with batch normalisation or augmentation the figures are of the gradients that training
    takes.
    A parameter whose `var_i` is no more than what rounding makes of equal gradients counts as noiseless.

    A pass takes sums of squared differences from the gradient, so nothing cancels: one gradient evaluation per sample,
    one more where the gradient is not given, one more for the jackknife of GSNR. That of SNR costs nothing.

    Args:
        objective: Of the update batch.
        theta: Tree, one array or tensor per trainable variable; None for the present weights.
        gradient: Tree, `objective.value_and_gradient(theta).gradient`, where it is there already.
        gsnr_jackknife: Give GSNR a standard error.

    Raises:
        UserError: There is one micro-batch; two, and a standard error of GSNR is asked for; or theta does not fit.

    Source: SNR as in Geiping et al. 2022 (arXiv 2109.14119), whose code gives `|mean| / |std|`; GSNR in Liu et al. 2020
    (arXiv 2001.07384), there over single samples.
    """
    g = objective.value_and_gradient(theta).gradient if gradient is None else list(gradient)
    means = objective.measure(_SpreadKernel, theta, g, evaluations=1)
    squares, along, weights = np.asarray(means.each, np.float64).T
    count = len(weights)
    refuse_one(count)
    noise = [count / (count - 1) * np.asarray(leaf, np.float64) for leaf in means.weighted]
    signal = [np.square(np.asarray(leaf, np.float64)) for leaf in g]
    noisy = [v > _floor(leaf) * s for v, s, leaf in zip(noise, signal, g, strict=True)]
    ratios = [s[at] / v[at] for s, v, at in zip(signal, noise, noisy, strict=True)]
    of_noise = sum(len(r) for r in ratios)
    gsnr = sum(map(np.sum, ratios)) / of_noise if of_noise else np.nan
    gsnr_error = _gsnr_error(objective, theta, g, means.weighted, weights) if gsnr_jackknife else np.nan
    snr, snr_error = _snr(sum(map(np.sum, signal)), squares, along, weights)
    return SignalToNoise(snr, snr_error, float(gsnr), gsnr_error, sum(s.size for s in signal) - of_noise)


def refuse_two(micro_batches: int) -> None:
    """Refuses a standard error of GSNR where leaving a micro-batch out leaves no spread.

    Raises:
        UserError: There are fewer than three micro-batches.
    """
    if micro_batches < 3:
        raise UserError("a standard error of GSNR needs 3 micro-batches, but there are 2: make them smaller.")


def _snr(
    squared_norm: float, squares: np.ndarray, along: np.ndarray, weights: np.ndarray
) -> tuple[float, float]:
    """(SNR, its standard error), from `|g|^2` and, of each micro-batch, `|d|^2`, `g . d` and weight; `d = g_b - g`."""
    share = weights / weights.sum()
    count = len(share)
    spread = share @ squares
    if not spread > 0:
        return np.nan, np.nan
    snr = float(np.sqrt(squared_norm / (count / (count - 1) * spread)))
    if count < 3:
        return snr, np.nan
    # Without micro-batch b the gradient is g - c d_b.
    c = share / (1 - share)
    norms = squared_norm - 2 * c * along + c**2 * squares
    spreads = (spread - share * squares) / (1 - share) - c**2 * squares
    without_each = np.sqrt(norms / ((count - 1) / (count - 2) * spreads))
    return snr, jackknife.standard_error(without_each)


def _gsnr_error(
    objective: Objective,
    theta: Sequence[tf.Tensor] | None,
    gradient: Tree,
    spread: Tree,
    weights: np.ndarray,
) -> float:
    """The standard error of GSNR: a pass that asks each micro-batch for the GSNR of all others."""
    count = len(weights)
    refuse_two(count)
    dtype = spread[0].dtype
    others = tf.constant((count - 1) / (count - 2), dtype)
    total = tf.constant(weights.sum(), dtype)
    each = objective.measure(_WithoutKernel, theta, gradient, spread, [others, total], evaluations=1).each
    return jackknife.standard_error(np.asarray(each, np.float64)[:, 0])


def _floor(leaf: tf.Tensor) -> float:
    """The largest `var_i / g_i^2` that rounding alone makes of gradients that are equal."""
    precision = np.float64 if leaf.dtype == tf.float64 else np.float32
    return float(32 * np.finfo(precision).eps) ** 2


class _SpreadKernel(DifferenceKernel):
    """The squares of the differences, parameter by parameter; of each micro-batch `|d|^2`, `g . d` and its weight."""

    def like(self) -> tuple[list[tf.TensorSpec], tuple, list[tf.TensorSpec]]:
        """See `passes.Kernel`."""
        return [tf.TensorSpec(v.shape) for v in self._loss.call.weights], (), [tf.TensorSpec([])] * 3

    def __call__(
        self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, gradient: Tree
    ) -> Contribution:
        """See `passes.Kernel`; `gradient` is the update batch's."""
        difference, weight, samples = self.difference(theta, state, batch, scalars, gradient)
        squares = [tf.square(leaf) for leaf in difference]
        along = trees.dot(gradient, difference)
        each = [trees.squared_norm(difference), along, weight]
        return Contribution(squares, (), each, weight, samples)


class _WithoutKernel(DifferenceKernel):
    """The GSNR of all micro-batches but this one."""

    def like(self) -> tuple[tuple, tuple, tf.TensorSpec]:
        """See `passes.Kernel`."""
        return (), (), tf.TensorSpec([])

    def __call__(
        self,
        theta: Tree,
        state: Tree,
        batch: MicroBatch,
        scalars: StepScalars,
        gradient: Tree,
        spread: Tree,
        numbers: Tree,
    ) -> Contribution:
        """See `passes.Kernel`.

        Args:
            theta: As there.
            state: As there.
            batch: As there.
            scalars: As there.
            gradient: The update batch's.
            spread: `sum_b w_b (g_bi - g_i)^2` of all micro-batches.
            numbers: `(K - 1) / (K - 2)`, and what all micro-batches count for.
        """
        difference, weight, samples = self.difference(theta, state, batch, scalars, gradient)
        others, total = numbers
        share = tf.cast(weight, total.dtype) / total
        c = share / (1 - share)
        ratios, noisy = [], []
        for g, d, v in zip(gradient, difference, spread, strict=True):
            d_of, g_of = tf.cast(d, v.dtype), tf.cast(g, v.dtype)
            noise = others * ((v - share * d_of**2) / (1 - share) - c**2 * d_of**2)
            signal = (g_of - c * d_of) ** 2
            at = noise > tf.constant(_floor(g), v.dtype) * signal
            ratios.append(tf.reduce_sum(tf.where(at, signal / tf.where(at, noise, 1), 0)))
            noisy.append(tf.reduce_sum(tf.cast(at, v.dtype)))
        return Contribution((), (), tf.add_n(ratios) / tf.add_n(noisy), weight, samples)
