"""Gradient flow, dw/dt = -g(w), followed by Runge and Kutta's method of order four."""

from typing import NamedTuple

import numpy as np

from tf_fullbatch.analysis.flows.flat_objective import EigenSolver, FlatObjective, largest_pairs
from tf_fullbatch.errors import UserError


class FlowTick(NamedTuple):
    """Where gradient flow came to.

    Attributes:
        theta: `[parameters]` at the end.
        sharpness: The largest of the Hessian's eigenvalues that were found on the way.
        vectors: `[parameters, 1]`, the last eigenvector: where the next tick's search starts.
        substeps: Steps of Runge and Kutta's method; each takes four gradients.
        evaluations: Gradient evaluations that the objective counted, those of the eigenvalues included.
    """

    theta: np.ndarray
    sharpness: float
    vectors: np.ndarray
    substeps: int
    evaluations: float


def runge_kutta_step(objective: FlatObjective, theta: np.ndarray, length: float) -> np.ndarray:
    """One step of the classical method of order four along `dw/dt = -g(w)`: an error of `O(length^5)`.

    Args:
        objective: The loss.
        theta: `[parameters]`.
        length: Its length in time, where a step of gradient descent at rate lr takes the time lr.
    """

    def slope(at: np.ndarray) -> np.ndarray:
        return -objective.value_and_gradient(at).gradient

    first = slope(theta)
    second = slope(theta + length / 2 * first)
    third = slope(theta + length / 2 * second)
    fourth = slope(theta + length * third)
    return theta + length / 6 * (first + 2 * second + 2 * third + fourth)


def gradient_flow(
    objective: FlatObjective,
    theta: np.ndarray,
    *,
    rate: float,
    eigenpairs: EigenSolver,
    steps: float = 1,
    start: np.ndarray | None = None,
    solve_every: int = 1,
) -> FlowTick:
    """Gradient flow for the time that some steps of gradient descent take, `rate * steps`.

    Runge-Kutta steps of length `h = min(1 / lambda_max, what is left)`; they are stable up to `2.785 / lambda_max`.

    Args:
        objective: The loss.
        theta: `[parameters]`; in float64, whatever the weights have, so that short steps are not rounded away.
        rate: Learning rate of gradient descent.
        eigenpairs: Finds the Hessian's largest eigenvalue.
        steps: How many steps' time.
        start: `[parameters, 1]`, the last tick's `vectors`; None where there was none.
        solve_every: The eigenvalue is found anew each so many steps of Runge and Kutta's method.

    Raises:
        UserError: The time is not positive.
        FlowEndedError: The loss or the eigenvalue is not finite.

    Source:
        Cohen, Kaur, Li, Kolter, Talwalkar 2021 (arXiv 2103.00065): step lengths by the sharpness.
    """
    left = rate * steps
    if not (np.isfinite(left) and left > 0 and solve_every >= 1):
        raise UserError(
            f"gradient flow for rate * steps = {left}, solve_every={solve_every}: the time has to be positive and "
            "finite, solve_every at least 1."
        )
    before = objective.evaluations
    vectors, sharpness, substeps, longest = start, -np.inf, 0, left
    while left > 0:
        if substeps % solve_every == 0:
            values, vectors = largest_pairs(eigenpairs, theta, 1, vectors)
            sharpness = max(sharpness, float(values[0]))
            longest = 1 / float(values[0]) if values[0] > 0 else np.inf
        length = min(longest, left)
        theta = runge_kutta_step(objective, theta, length)
        left -= length
        substeps += 1
    assert vectors is not None
    return FlowTick(theta, sharpness, vectors, substeps, objective.evaluations - before)
