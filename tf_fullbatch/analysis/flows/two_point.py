"""Two gradient descents side by side, seen as their centre and their half difference: the edge of stability without
second derivatives."""

from typing import NamedTuple

import numpy as np

from tf_fullbatch.analysis.flows.flat_objective import FlatObjective
from tf_fullbatch.errors import UserError


class Twins(NamedTuple):
    """Two iterates, `c + z` and `c - z`. Both are kept, not c and z, so that each is gradient descent to the last bit.

    Attributes:
        ahead: `[parameters]`, `c + z`.
        behind: `[parameters]`, `c - z`.
    """

    ahead: np.ndarray
    behind: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        """c, `[parameters]`."""
        return (self.ahead + self.behind) / 2

    @property
    def half_difference(self) -> np.ndarray:
        """z, `[parameters]`."""
        return (self.ahead - self.behind) / 2


class TwinStep(NamedTuple):
    """A step of both twins.

    Attributes:
        twins: After the step.
        losses: Before it, of `c + z` and `c - z`.
        rayleigh: `z . y / |z|^2`, where `y = (g(c + z) - g(c - z)) / 2`: the mean of the curvature along z between the
            twins. nan where they agree.
        secant_curvature: `|y|^2 / (z . y)`, at least `rayleigh` where that is positive, and equal to it where z is an
            eigenvector. Where `z . y > 0`, the twins part exactly if it exceeds `2 / lr`; else they part anyway. nan
            where `z . y = 0`.
        growth: `|z'| / |z|`; nan where they agree.
        evaluations: Gradient evaluations spent.
    """

    twins: Twins
    losses: tuple[float, float]
    rayleigh: float
    secant_curvature: float
    growth: float
    evaluations: float


def twin_step(objective: FlatObjective, twins: Twins, rate: float) -> TwinStep:
    """`c' = c - (lr / 2) (g+ + g-)` and `z' = z - (lr / 2) (g+ - g-)`, where `g+- = g(c +- z)`.

    This is gradient descent of both twins, and exact: two gradients a step.

    Args:
        objective: The loss.
        twins: Where they are.
        rate: Learning rate, lr.
    """
    before = objective.evaluations
    ahead, behind = (objective.value_and_gradient(w) for w in twins)
    later = Twins(twins.ahead - rate * ahead.gradient, twins.behind - rate * behind.gradient)
    z, y = _wide(twins.half_difference), _wide(ahead.gradient - behind.gradient) / 2
    along = float(z @ y)
    return TwinStep(
        twins=later,
        losses=(ahead.loss, behind.loss),
        rayleigh=_ratio(along, float(z @ z)),
        secant_curvature=_ratio(float(y @ y), along),
        growth=_ratio(float(np.linalg.norm(_wide(later.half_difference))), float(np.linalg.norm(z))),
        evaluations=objective.evaluations - before,
    )


class PowerStep(NamedTuple):
    """A step of gradient descent with an estimate of the largest eigenvalue.

    Attributes:
        theta: `[parameters]`, after the step.
        direction: `[parameters]`, of length 1: where the next step looks.
        loss: The mean of both losses: that of theta, but for `O(distance^2)`.
        eigenvalue: `direction^T H direction`, but for `O(distance^2)`, before `direction` was turned; a lower bound of
            the largest eigenvalue, and close to it once the iteration has settled.
        evaluations: Gradient evaluations spent.
    """

    theta: np.ndarray
    direction: np.ndarray
    loss: float
    eigenvalue: float
    evaluations: float


def power_step(
    objective: FlatObjective,
    theta: np.ndarray,
    direction: np.ndarray,
    rate: float,
    *,
    distance: float,
    shift: float = 0.0,
) -> PowerStep:
    """A step of the centre of twins that are set back to a small distance each time, as power iteration.

    `y = (g(c + r v) - g(c - r v)) / (2 r) = H v + O(r^2)`, `v' = (y + shift v) / |y + shift v|`. Without a shift the
    iteration goes to the eigenvalue of largest magnitude; with one above `-lambda_min` to the largest. (The twins' own
    recursion, `z' = (I - lr H) z`, would go there only where `lr (lambda_max + lambda_min) > 2`.)

    Args:
        objective: The loss.
        theta: `[parameters]`, the centre.
        direction: `[parameters]`, any length but 0: random at first, then the last step's.
        rate: Learning rate.
        distance: r, half the distance of the twins; about the cube root of the loss's relative rounding error times
            the parameters' norm.
        shift: Added to the curvature.

    Raises:
        UserError: The direction is 0, or the distance is not positive.
    """
    length = float(np.linalg.norm(_wide(direction)))
    if not (length > 0 and distance > 0):
        raise UserError(
            f"power iteration with a direction of length {length} and distance={distance}: both have to be positive."
        )
    v = _wide(direction) / length
    before = objective.evaluations
    ahead, behind = (objective.value_and_gradient(theta + s * distance * v) for s in (1, -1))
    y = (_wide(ahead.gradient) - _wide(behind.gradient)) / (2 * distance)
    turned = y + shift * v
    size = float(np.linalg.norm(turned))
    return PowerStep(
        theta=theta - rate / 2 * (ahead.gradient + behind.gradient),
        direction=turned / size if size > 0 else v,
        loss=(ahead.loss + behind.loss) / 2,
        eigenvalue=float(v @ y),
        evaluations=objective.evaluations - before,
    )


def _wide(vector: np.ndarray) -> np.ndarray:
    return vector.astype(np.float64)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")
