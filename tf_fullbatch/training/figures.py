"""The figures of steps: rows of numbers as the device gives them, dictionaries as callbacks read them."""

import math
from collections.abc import Sequence

import keras
import numpy as np

from tf_fullbatch.analysis.noise_scale import noise_scale_of
from tf_fullbatch.errors import NonFiniteError
from tf_fullbatch.training.step import FIGURES
from tf_fullbatch.training.timeline import Timeline

SHOWN = ("loss", "cross_entropy", "accuracy", "penalised_objective", "gradient_norm", "learning_rate")
"""What `fit` reports, as means over the epoch so far."""
_NOT_RECORDED = ("micro_batches", "state_sum", "stop_votes")


def named_figures(row: np.ndarray) -> dict[str, float]:
    """A row of figures by name."""
    return dict(zip(FIGURES, row.tolist(), strict=True))


def step_records(
    figures: np.ndarray, last_step: int, timeline: Timeline, seconds: float, without: Sequence[str] = ()
) -> list[dict[str, float]]:
    """The records of steps made in one go; `noise_scale` is in those of steps that have one.

    Args:
        figures: float64 `[steps, len(FIGURES)]`.
        last_step: Updates completed after the last of them.
        timeline: Maps updates to epochs.
        seconds: What they took together; each is given the same share.
        without: Figures that have no meaning.
    """
    share = seconds / len(figures)
    dropped = (*_NOT_RECORDED, *without)
    records = []
    scales = noise_scales(figures).tolist()
    for step, (row, scale) in enumerate(
        zip(figures, scales, strict=True), start=last_step - len(figures) + 1
    ):
        named = {name: value for name, value in named_figures(row).items() if name not in dropped}
        if math.isfinite(scale):
            named["noise_scale"] = scale
        samples = int(named.pop("samples"))
        head = {"step": step, "epoch": timeline.epochs_completed(step), "samples": samples}
        records.append({**head, **named, "step_seconds": share, "images_per_second": samples / share})
    return records


def noise_scales(figures: np.ndarray) -> np.ndarray:
    """B_simple in samples of each step's update batch, by `noise_scale_of`.

    Args:
        figures: float64 `[steps, len(FIGURES)]`.

    Returns:
        float64 `[steps]`; NaN where a step is one micro-batch, or the estimate of the squared signal is not positive.
    """
    mean_squared_norm, norm, samples, micro_batches = (
        figures[:, FIGURES.index(name)]
        for name in (
            "mean_squared_micro_batch_gradient_norm", "unpenalised_gradient_norm", "samples", "micro_batches",
        )
    )  # fmt: skip
    found = np.full(len(figures), np.nan)
    some = micro_batches > 1
    if some.any():
        of_them = noise_scale_of(mean_squared_norm[some], norm[some] ** 2, samples[some], micro_batches[some])
        found[some] = of_them.simple
    return found


def refuse_lost_weights(figures: np.ndarray, steps_before: int, weights: Sequence[keras.Variable]) -> None:
    """Refuses to go on from weights that are not finite though loss and gradient were: an optimizer made them so.

    Args:
        figures: float64 `[steps, len(FIGURES)]`, of steps that were applied.
        steps_before: Updates completed before them.
        weights: The weights after them, which are looked at where the norm of an update is not finite.

    Raises:
        NonFiniteError: The weights are not finite.
    """
    norms = figures[:, FIGURES.index("update_norm")]
    lost = np.flatnonzero(~np.isfinite(norms))
    # Of finite weights above 1e19 the norm overflows too.
    if len(lost) and not all(np.isfinite(w.numpy()).all() for w in weights):
        step = steps_before + int(lost[0]) + 1
        raise NonFiniteError("the norm of the update", float(norms[lost[0]]), step, weights_lost=True)


class EpochMeans:
    """Sample-weighted means of the `SHOWN` figures over the steps of an epoch."""

    def __init__(self) -> None:
        self._sums = np.zeros(len(SHOWN))
        self._samples = 0.0

    def add(self, figures: np.ndarray) -> dict[str, float]:
        """Adds steps' rows and returns the means so far.

        The additions are made one after the other, so that means do not depend on how steps came together.
        """
        samples = figures[:, FIGURES.index("samples")]
        values = figures[:, [FIGURES.index(name) for name in SHOWN]] * samples[:, np.newaxis]
        self._sums = np.cumsum(np.vstack([self._sums, values]), axis=0)[-1]
        self._samples += float(samples.sum())
        return dict(zip(SHOWN, (self._sums / self._samples).tolist(), strict=True))


def first_not_finite(row: np.ndarray, names: Sequence[str]) -> str | None:
    """The first of some figures that is not finite in a row; None where all are."""
    return next((name for name in names if not np.isfinite(row[FIGURES.index(name)])), None)
