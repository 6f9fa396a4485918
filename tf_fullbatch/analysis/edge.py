"""When a training stands at the edge of stability: sharpness at its threshold while the loss goes up and down."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tf_fullbatch.errors import UserError

WINDOW = 200
"""Steps."""
BAND = (0.9, 1.15)
"""Sharpness over threshold."""
RISE = 1e-6
"""Of the loss, relative: what float32 may round away is no rise."""
BATCHES = 10
"""Batches of the interval of a mean, where there are measurements enough."""
SPACINGS = 2
"""Times from one measurement to the next that a window has room for at least: it holds three measurements."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A training's time at the edge of stability.

    Attributes:
        entry_step: The first measured step at the edge.
        exit_step: The first measured step after the last at the edge; None where the series ends there.
        dwell: Steps spent at the edge; fewer than from entry to exit where it was left in between.
        mean_ratio: Mean of sharpness over threshold at the edge.
        interval: Confidence interval of that mean, by batch means; nan where there are fewer than 4 measurements.
        measurements: How many the mean is of.
        window: Steps of the window that was taken.
    """

    entry_step: int
    exit_step: int | None
    dwell: int
    mean_ratio: float
    interval: tuple[float, float]
    measurements: int
    window: int


def find_edge(
    steps: Sequence[int] | np.ndarray,
    sharpness: Sequence[float] | np.ndarray,
    threshold: float | Sequence[float] | np.ndarray,
    loss: Sequence[float] | np.ndarray,
    loss_steps: Sequence[int] | np.ndarray | None = None,
    *,
    window: int = WINDOW,
    band: tuple[float, float] = BAND,
    confidence: float = 0.95,
) -> Edge | None:
    """Finds when a training was at the edge of stability.

    A measured step is at the edge where, in the window centred on it (at the ends of the series: in the first or last
    whole window), the mean of sharpness over threshold lies in the band and the loss rises at least once from one
    recorded step to the next, by more than 1e-6 of itself. A stretch of such steps begins and ends with a ratio that is
    in the band itself; one shorter than a window is left out: the ratio only passed through. So an edge that is reached
    less than a window before the end is not found yet. Late in training the loss may fall for more than a window
    between bursts, which counts as leaving the edge; a wider window joins them. Where sharpness is measured so rarely
    that a window does not hold three measurements, it is widened until it does.

    Args:
        steps: `[measurements]`, ascending, where sharpness was measured.
        sharpness: `[measurements]`, of the Hessian or the preconditioned one; those that are not finite are left out.
        threshold: What it bears, a number or `[measurements]`; those that are not finite and positive are left out.
        loss: `[losses]`, best of every step: with rare ones oscillations of period 2 are missed.
        loss_steps: `[losses]`, ascending, where the loss was recorded; None for `steps`.
        window: Steps, at least 2.
        band: Smallest and largest ratio.
        confidence: Of the interval.

    Returns:
        None where the training was never at the edge.

    Raises:
        UserError: Series of different lengths, steps that do not ascend, or a window, band or confidence out of range.

    Source: Cohen et al. 2021 (arXiv 2103.00065): sharpness hovers at the threshold, and the loss falls over long times
    but not monotonically. Window and band are ours.
    """
    _check_settings(window, band, confidence)
    at, ratios = _ratios(steps, sharpness, threshold)
    loss_at, losses = _series("loss", steps if loss_steps is None else loss_steps, loss)
    if len(at) < 2:
        return None
    window = max(window, int(SPACINGS * np.median(np.diff(at))))
    at_edge = _is_at_edge(at, ratios, loss_at, losses, window, band)
    at_edge = _long_stretches(at, at_edge, (band[0] <= ratios) & (ratios <= band[1]), window)
    if not at_edge.any():
        return None
    found = np.flatnonzero(at_edge)
    after = found[-1] + 1
    mean, interval = batch_means(ratios[at_edge], confidence)
    return Edge(
        entry_step=int(at[found[0]]),
        exit_step=int(at[after]) if after < len(at) else None,
        dwell=int(np.diff(at)[at_edge[:-1]].sum()),
        mean_ratio=mean,
        interval=interval,
        measurements=len(found),
        window=window,
    )


def batch_means(series: np.ndarray, confidence: float = 0.95) -> tuple[float, tuple[float, float]]:
    """The mean of an autocorrelated stationary series, and its confidence interval by batch means.

    The series is cut into at most 10 consecutive batches, of two numbers at least; with b batches whose means have the
    standard deviation s, the interval is `mean +- t_{b-1} s / sqrt(b)`. Few long batches are nearly independent of each
    other whatever the autocorrelation within them; the t-quantile pays for their being few. It takes no random numbers,
    as a block bootstrap would, and no block length to choose.

    Args:
        series: `[n]`, finite.
        confidence: Of the interval.

    Returns:
        The mean; the interval's ends, nan with fewer than 4 numbers.

    Source: Schmeiser 1982, "Batch size effects in the analysis of simulation output", Operations Research 30(3): 10 to
    30 batches are enough whatever the length.
    """
    mean = float(np.mean(series))
    batches = min(BATCHES, len(series) // 2)
    if batches < 2:
        return mean, (float("nan"), float("nan"))
    means = [np.mean(batch) for batch in np.array_split(series, batches)]
    half = stats.t.ppf((1 + confidence) / 2, batches - 1) * np.std(means, ddof=1) / np.sqrt(batches)
    return mean, (mean - float(half), mean + float(half))


def _is_at_edge(
    at: np.ndarray,
    ratios: np.ndarray,
    loss_at: np.ndarray,
    losses: np.ndarray,
    window: int,
    band: tuple[float, float],
) -> np.ndarray:
    """Of each measured step, whether its own window is at the edge."""
    sums = np.concatenate([[0.0], np.cumsum(ratios)])
    centres = np.clip(at, at[0] + window / 2, max(at[-1] - window / 2, at[0] + window / 2))
    first, last = _ends(at, centres, window)
    means = (sums[last] - sums[first]) / (last - first)
    rises = np.diff(losses) > RISE * np.abs(losses[:-1])
    counts = np.concatenate([[0], np.cumsum(rises)])
    first, last = _ends(loss_at, centres, window)
    # The rise from j to j + 1 is within the window where both losses are.
    rising = counts[np.clip(last - 1, 0, len(rises))] > counts[np.minimum(first, len(rises))]
    return (band[0] <= means) & (means <= band[1]) & rising


def _ends(steps: np.ndarray, centres: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last + 1 positions of the steps within half a window of each centre."""
    return (
        np.searchsorted(steps, centres - window / 2, "left"),
        np.searchsorted(steps, centres + window / 2, "right"),
    )


def _long_stretches(at: np.ndarray, at_edge: np.ndarray, in_band: np.ndarray, window: int) -> np.ndarray:
    """Stretches at the edge from the first to the last ratio in the band, those shorter than a window left out."""
    padded = np.concatenate([[False], at_edge, [False]])
    kept = np.zeros_like(at_edge)
    for start, end in np.flatnonzero(np.diff(padded.astype(int))).reshape(-1, 2):
        inside = start + np.flatnonzero(in_band[start:end])
        if len(inside) and at[min(inside[-1] + 1, len(at) - 1)] - at[inside[0]] >= window:
            kept[inside[0] : inside[-1] + 1] = True
    return kept


def _ratios(
    steps: Sequence[int] | np.ndarray,
    sharpness: Sequence[float] | np.ndarray,
    threshold: float | Sequence[float] | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Steps with a meaningful ratio of sharpness to threshold, and the ratios."""
    every = [threshold] * len(steps) if np.ndim(threshold) == 0 else threshold
    bounds = np.asarray(every, np.float64)
    if len(bounds) != len(steps):
        raise UserError(
            f"threshold has {len(bounds)} numbers for {len(steps)} steps: give one for each, or one."
        )
    bounds = np.where(np.isfinite(bounds) & (bounds > 0), bounds, np.nan)
    if len(sharpness) != len(steps):
        raise UserError(f"sharpness has {len(sharpness)} numbers for {len(steps)} steps: give one for each.")
    return _series("sharpness", steps, np.asarray(sharpness, np.float64) / bounds)


def _series(
    name: str, steps: Sequence[int] | np.ndarray, values: Sequence[float] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values, those that are not finite left out."""
    at, of = np.asarray(steps), np.asarray(values, np.float64)
    if at.shape != of.shape or at.ndim != 1:
        raise UserError(
            f"{name} has the shape {of.shape}, its steps {at.shape}: give one number for each step."
        )
    if (np.diff(at) <= 0).any():
        raise UserError(f"the steps of {name} do not ascend: give each step once, in order.")
    finite = np.isfinite(of)
    return at[finite], of[finite]


def _check_settings(window: int, band: tuple[float, float], confidence: float) -> None:
    if window < 2:
        raise UserError(f"window={window}: it must have at least 2 steps.")
    if not 0 < band[0] < band[1]:
        raise UserError(
            f"band={band}: give the smallest and the largest ratio, both positive, in this order."
        )
    if not 0 < confidence < 1:
        raise UserError(f"confidence={confidence}: it must lie between 0 and 1.")
