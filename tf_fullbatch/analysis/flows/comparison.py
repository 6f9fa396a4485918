"""What the central flow predicts of gradient descent, beside what gradient descent does."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tf_fullbatch.analysis.flows.central_flow import CentralFlowStep, Prediction
from tf_fullbatch.analysis.flows.flat_objective import FlatObjective
from tf_fullbatch.errors import UserError

UNMOVED = 1e-12
"""A component of the gradient along the sharpest direction below this: gradient descent sits on an unstable manifold,
passes the edge unhindered for a while, and is not what the flow describes."""


class Observation(NamedTuple):
    """Gradient descent at one step, beside its central flow.

    Attributes:
        loss: At its iterate.
        squared_gradient_norm: At its iterate.
        squared_displacements: `[critical]`, `(v_i . (w - theta))^2` along the directions v_i whose variances the flow
            predicts, w the iterate and theta the flow's.
        along_sharpest: `|u . g(w)|`, u the Hessian's first eigenvector on the flow; see `UNMOVED`.
    """

    loss: float
    squared_gradient_norm: float
    squared_displacements: np.ndarray
    along_sharpest: float


class Compared(NamedTuple):
    """A quantity in windows of steps.

    Attributes:
        predicted: `[windows]`, or `[windows, directions]`: the mean over each window's steps.
        measured: The same.
    """

    predicted: np.ndarray
    measured: np.ndarray

    @property
    def relative_error(self) -> np.ndarray:
        """`predicted / measured - 1`; nan where nothing was measured."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.measured == 0, np.nan, self.predicted / self.measured - 1)


class Comparison(NamedTuple):
    """The flow's predictions beside gradient descent's averages over windows.

    Attributes:
        loss: `[windows]`, the mean training loss.
        squared_gradient_norm: `[windows]`.
        variance: `[windows]`, `tr Sigma` beside the squared displacements along its eigenvectors, summed.
        variances: `[windows, directions]`, one by one, largest first; over the steps that have so many critical
            directions, nan where none has.
    """

    loss: Compared
    squared_gradient_norm: Compared
    variance: Compared
    variances: Compared


def observe(
    objective: FlatObjective, iterate: np.ndarray, theta: np.ndarray, step: CentralFlowStep
) -> Observation:
    """Looks at gradient descent and its flow at the same step; one gradient evaluation.

    Args:
        objective: The loss.
        iterate: `[parameters]`, gradient descent's.
        theta: `[parameters]`, the flow's, before `step`.
        step: The flow's step from there.
    """
    at = objective.value_and_gradient(iterate)
    gradient = at.gradient.astype(np.float64)
    return Observation(
        loss=at.loss,
        squared_gradient_norm=float(gradient @ gradient),
        squared_displacements=(step.prediction.directions.T @ (iterate - theta)) ** 2,
        along_sharpest=abs(float(step.vectors[:, 0] @ gradient)),
    )


def compare(
    predictions: Sequence[Prediction], observations: Sequence[Observation], window: int
) -> Comparison:
    """Averages over windows of steps, within which gradient descent oscillates many times and the flow hardly moves.

    Args:
        predictions: The flow's, step by step.
        observations: Of the same steps.
        window: Steps per window; what is left at the end is left out.

    Raises:
        UserError: The steps are not as many, or fewer than a window.
    """
    if len(predictions) != len(observations) or not 1 <= window <= len(predictions):
        raise UserError(
            f"{len(predictions)} predictions beside {len(observations)} observations in windows of {window} steps: "
            "give as many of both, and at least one window."
        )

    def means(predicted: Sequence[float], measured: Sequence[float]) -> Compared:
        return Compared(_means(np.array(predicted), window), _means(np.array(measured), window))

    variances = [p.variances for p in predictions]
    squares = [o.squared_displacements for o in observations]
    return Comparison(
        loss=means([p.mean_loss for p in predictions], [o.loss for o in observations]),
        squared_gradient_norm=means(
            [p.mean_squared_gradient_norm for p in predictions],
            [o.squared_gradient_norm for o in observations],
        ),
        variance=means([float(v.sum()) for v in variances], [float(s.sum()) for s in squares]),
        variances=Compared(_means(_padded(variances), window), _means(_padded(squares), window)),
    )


def _means(values: np.ndarray, window: int) -> np.ndarray:
    """Means over windows of the first axis, of what is not nan; nan where all is."""
    windows = len(values) // window
    cut = values[: windows * window].reshape(windows, window, *values.shape[1:])
    there = ~np.isnan(cut)
    counts = there.sum(axis=1)
    sums = np.where(there, cut, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of different lengths as one array, with nan behind their ends."""
    padded = np.full((len(rows), max(map(len, rows))), np.nan)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded
