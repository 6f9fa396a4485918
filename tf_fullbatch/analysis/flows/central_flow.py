"""The central flow of gradient descent: where its iterates are on average over their oscillations at the edge of
stability, and how far they oscillate."""

import itertools
from typing import NamedTuple

import numpy as np

from tf_fullbatch.analysis.flows.complementarity import complementarity
from tf_fullbatch.analysis.flows.flat_objective import (
    EigenSolver,
    FlatObjective,
    FlowEndedError,
    LargestPairs,
    Slope,
    largest_pairs,
)
from tf_fullbatch.errors import UserError

SUBSTEPS = 4
"""Euler steps per step of gradient descent."""
CRITICAL = 1.95
"""Eigenvalues above this over the rate may oscillate."""
TRACKED = 1.5
"""One more eigenvalue is tracked where the smallest tracked one is above this over the rate."""
LARGEST_RESIDUAL = 1e-3
"""Residual of a complementarity problem, where it has been brought to size 1, that a step goes on with: larger ones
have no solution."""


class Prediction(NamedTuple):
    """What the flow says of gradient descent's iterates about one of its own, `w = theta + d` with `E d d^T = Sigma`.

    Attributes:
        loss: `L(theta)`, on the flow.
        squared_gradient_norm: `|g(theta)|^2`, on the flow.
        mean_loss: `E L(w) = L(theta) + tr Sigma / lr`.
        mean_squared_gradient_norm: `E |g(w)|^2 = |g(theta)|^2 + (4 / lr^2) tr Sigma`.
        variances: `[critical]`, Sigma's eigenvalues, largest first.
        directions: `[parameters, critical]`, its eigenvectors.
        eigenvalues: `[tracked]`, of the Hessian at theta, largest first.
    """

    loss: float
    squared_gradient_norm: float
    mean_loss: float
    mean_squared_gradient_norm: float
    variances: np.ndarray
    directions: np.ndarray
    eigenvalues: np.ndarray


class CentralFlowStep(NamedTuple):
    """A step of the central flow.

    Attributes:
        theta: `[parameters]`, after the step.
        prediction: Of the moment before the step.
        vectors: `[parameters, tracked]`, the eigenvectors that are tracked: where the next step's search starts.
        evaluations: Gradient evaluations that the objective counted, those of the eigenvalues included.
    """

    theta: np.ndarray
    prediction: Prediction
    vectors: np.ndarray
    evaluations: float


def central_flow_step(
    objective: FlatObjective,
    theta: np.ndarray,
    *,
    rate: float,
    eigenpairs: EigenSolver,
    start: np.ndarray | None = None,
    substeps: int = SUBSTEPS,
) -> CentralFlowStep:
    """The central flow for the time of one step of gradient descent at a constant rate.

    `dw/dt = -lr (g(w) + 1/2 grad <H(w), Sigma>)`, with the Sigma that has `Sigma >= 0`, `H <= (2 / lr) I` and
    `<Sigma, (2 / lr) I - H> = 0`; time is in steps of gradient descent. Each Euler step of length dt finds the
    eigenpairs of H, the critical ones U among them, `G_ij = grad u_i^T H u_j`, and X with `Sigma = U X U^T` from the
    complementarity problem of `A = (2 / lr) I - diag(lambda) + dt lr [G_ij . g]` and
    `B_ijkl = dt (lr / 2) G_ij . G_kl`: the curvatures at the end of the step then keep to their bound, to first order.

    Args:
        objective: The loss; smooth, and the same at each step (`smoothness.refuse_without_third_derivatives`).
        theta: `[parameters]`; in float64, whatever the weights have.
        rate: Learning rate, lr.
        eigenpairs: Finds the Hessian's largest eigenvalues.
        start: The last step's `vectors`; None at first.
        substeps: Euler steps.

    Raises:
        UserError: The rate is not positive.
        FlowEndedError: Nothing can keep the curvature at its bound (a quadratic loss), or a number is not finite.

    Source:
        Cohen, Damian, Talwalkar, Kolter, Lee 2024 (arXiv 2410.24206).
    """
    _check(rate, substeps)
    before = objective.evaluations
    first = None
    for _ in range(substeps):
        seen = _seen(objective, theta, rate, substeps, eigenpairs, start)
        first, start = first or seen, seen.vectors
        theta = theta - rate / substeps * seen.direction
    assert first is not None
    assert start is not None
    return CentralFlowStep(theta, first.prediction, start, objective.evaluations - before)


def predict(
    objective: FlatObjective,
    theta: np.ndarray,
    *,
    rate: float,
    eigenpairs: EigenSolver,
    start: np.ndarray | None = None,
    substeps: int = SUBSTEPS,
) -> Prediction:
    """What the flow says at a point of it: the `prediction` of the step from there, which is not made.

    Args:
        objective: As of `central_flow_step`.
        theta: `[parameters]`.
        rate: Learning rate.
        eigenpairs: Finds the Hessian's largest eigenvalues.
        start: `vectors` of the step that led there; None at first.
        substeps: Euler steps of the step that would be made: the oscillation is the one that holds the curvature for
            the first of them.

    Raises:
        UserError: As of `central_flow_step`.
    """
    _check(rate, substeps)
    return _seen(objective, theta, rate, substeps, eigenpairs, start).prediction


def _check(rate: float, substeps: int) -> None:
    if not (np.isfinite(rate) and rate > 0 and substeps >= 1):
        raise UserError(
            f"central flow at rate={rate} in {substeps} substeps: the rate has to be positive, substeps at least 1."
        )


class _Seen(NamedTuple):
    """The flow at a point.

    Attributes:
        prediction: What it says there.
        vectors: `[parameters, tracked]`.
        direction: `[parameters]`, `g + 1/2 grad <H, Sigma>`: it moves by `-lr` times this per step.
    """

    prediction: Prediction
    vectors: np.ndarray
    direction: np.ndarray


def _seen(
    objective: FlatObjective,
    theta: np.ndarray,
    rate: float,
    substeps: int,
    eigenpairs: EigenSolver,
    start: np.ndarray | None,
) -> _Seen:
    pairs = _tracked_pairs(objective, theta, rate, eigenpairs, start)
    slope = objective.value_and_gradient(theta)
    critical = pairs.vectors[:, pairs.values > CRITICAL / rate]
    x, push = _oscillation(objective, theta, rate, 1 / substeps, slope, pairs, critical.shape[1])
    return _Seen(_predicted(rate, slope, pairs, critical, x), pairs.vectors, slope.gradient + push / 2)


def _tracked_pairs(
    objective: FlatObjective,
    theta: np.ndarray,
    rate: float,
    eigenpairs: EigenSolver,
    start: np.ndarray | None,
) -> LargestPairs:
    """As many as were tracked, and more until the smallest is far enough from being critical."""
    k = 1 if start is None else start.shape[1]
    pairs = largest_pairs(eigenpairs, theta, k, start)
    while pairs.values[-1] > TRACKED / rate and k < objective.size:
        k += 1
        pairs = largest_pairs(eigenpairs, theta, k, pairs.vectors)
    return pairs


def _oscillation(
    objective: FlatObjective,
    theta: np.ndarray,
    rate: float,
    dt: float,
    slope: Slope,
    pairs: LargestPairs,
    k: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(X `[k, k]`, `grad <H, U X U^T> = sum_ij X_ij G_ij` `[parameters]`), U the first k eigenvectors."""
    if k == 0:
        return np.zeros((0, 0)), np.zeros_like(theta)
    u = pairs.vectors
    upper = list(itertools.combinations_with_replacement(range(k), 2))
    g = np.stack([objective.hessian_derivative(theta, u[:, i], u[:, j]) for i, j in upper]).astype(np.float64)
    place = np.zeros((k, k), np.int64)
    for n, (i, j) in enumerate(upper):
        place[i, j] = place[j, i] = n
    gradient = slope.gradient.astype(np.float64)
    a = np.diag(2 / rate - pairs.values[:k]) + dt * rate * (g @ gradient)[place]
    b = dt * rate / 2 * (g @ g.T)[place[:, :, None, None], place]
    found = complementarity(a, b)
    if not found.residual <= LARGEST_RESIDUAL:
        raise FlowEndedError(
            f"the Hessian's largest eigenvalues, {pairs.values[0]:.6g} and below, pass 2 / rate = {2 / rate:.6g}, and "
            "no oscillation lowers them (the loss's third derivatives are too small): gradient descent diverges "
            "here, take a lower rate."
        )
    multiplicity = np.array([1 if i == j else 2 for i, j in upper])
    weights = np.array([found.x[i, j] for i, j in upper]) * multiplicity
    return found.x, weights @ g


def _predicted(
    rate: float, slope: Slope, pairs: LargestPairs, critical: np.ndarray, x: np.ndarray
) -> Prediction:
    variances, turn = np.linalg.eigh(x) if x.size else (np.zeros(0), x)
    square = float(np.sum(slope.gradient.astype(np.float64) ** 2))
    trace = float(np.trace(x))
    return Prediction(
        loss=slope.loss,
        squared_gradient_norm=square,
        mean_loss=slope.loss + trace / rate,
        mean_squared_gradient_norm=square + 4 / rate**2 * trace,
        variances=np.maximum(variances[::-1], 0.0),  # rounding may leave some below
        directions=(critical @ turn)[:, ::-1],
        eigenvalues=pairs.values,
    )
