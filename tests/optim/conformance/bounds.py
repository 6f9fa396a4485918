"""What a method may leave of the loss above the least, by its theory, as a share of what it began with."""

import numpy as np

from tests.optim.conformance.methods import Method

MOMENTUM = 0.9
EARLY = 40
"""Steps before a loss that is no quadratic, or a layer whose rate is still growing, behaves as one near its minimum."""
HIGHEST = 1e-20
"""Of methods whose last steps multiply the digits that are right."""
LARGE_STEPS = 1e-3
"""Of non-monotone searches, which have no rate of their own: a length that doubles at each step, oscillating, is
accepted until the mean of past values has come down."""


def matrix(name: str, rate: float, h: float) -> np.ndarray:
    """A step on a weight and its buffers at curvature h: Nesterov's, PNM's and the heavy ball's recursion."""
    b = MOMENTUM
    if name == "gradient_descent":
        return np.array([[1 - rate * h * (1 + b), -rate * b * b], [h, b]])
    if name == "larc":
        return np.array([[1 - rate * h, -rate * b], [h, b]])
    fed, share = (1 - b * b) * h, rate / 5**0.5
    return np.array([[1 - 2 * share * fed, share, -2 * share * b * b], [fed, 0, b * b], [0, 1, 0]])


def of_a_linear_recursion(name: str, rate: float, curvatures: np.ndarray, steps: int) -> float:
    """`max_h,k (M_h^k)_00^2`, k up to `EARLY` steps less: what is left of an error along an eigenvector, squared."""
    most = 0.0
    for h in curvatures:
        power = np.linalg.matrix_power(matrix(name, rate, h), steps - EARLY)
        for _ in range(EARLY + 1):
            most, power = max(most, power[0, 0] ** 2), power @ matrix(name, rate, h)
    return most


def of_a_falling_rate(of: Method, steps: int, start: float, weights: np.ndarray) -> float:
    """Of methods whose steps are as long as the rate, in every weight or in shares of all of them.

    They end as near as they went in the steps that they remember, m of them: where the rate falls to 0 in K steps that
    is `rate / K m (m + 1) / 2`. The curvature is at most 1.
    """
    memory = of.entry.memory
    unit = max(len(weights) ** 0.5, np.linalg.norm(weights))
    way = of.entry.rate / steps * memory * (memory + 1) / 2 * unit
    return way**2 / 2 / start


def of_a_search(of: Method, curvatures: np.ndarray, steps: int) -> float:
    """Of methods that search: `HIGHEST` where directions and lengths are a quasi-Newton method's, a fourth per step
    where Polyak's length is half of such a direction, else, of condition number c, `(1 - 1 / c)^K` as of gradient
    descent by the best constant rate (Nesterov 2004, theorem 2.1.14)."""
    if of.search == "non_monotone" and not of.natural:
        return LARGE_STEPS
    if of.natural and of.search == "polyak":
        return 0.25 ** (steps - EARLY // 8)
    if of.natural or (of.is_exact and of.name == "nonlinear_cg"):
        return HIGHEST
    return max(HIGHEST, (1 - curvatures.min() / curvatures.max()) ** steps)


def left(of: Method, curvatures: np.ndarray, steps: int, start: float, weights: np.ndarray) -> float:
    """The share of the loss above the least.

    Args:
        of: The method.
        curvatures: Eigenvalues of the Hessian at the minimum, those that are not 0.
        steps: Made.
        start: The loss above the least at the start.
        weights: At the end.
    """
    if of.searches:
        return of_a_search(of, curvatures, steps)
    if of.name in ("gradient_descent", "pnm", "larc"):
        return of_a_linear_recursion(of.name, of.entry.rate, curvatures, steps)
    if of.entry.left is not None:
        return of.entry.left
    return of_a_falling_rate(of, steps, start, weights)
