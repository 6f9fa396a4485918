"""What the tests of flows follow: a toy in NumPy, and the eigenvalues of small Hessians in full."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tf_fullbatch.analysis.flows.flat_objective import (
    Differentiable,
    EigenSolver,
    FlatObjective,
    LargestPairs,
)


class Point(NamedTuple):
    loss: float
    gradient: list[np.ndarray]


class EdgeToy:
    """`L = x^2 y^2 / 2 + (c / 2) (y - 6)^2` of (x, y): y grows, and with it the sharpness `y^2` along x."""

    def __init__(self, c: float = 0.002) -> None:
        self.c = c
        self.evaluations = 0.0

    def value_and_gradient(self, theta: list[np.ndarray]) -> Point:
        self.evaluations += 1
        x, y = theta[0]
        loss = x * x * y * y / 2 + self.c / 2 * (y - 6) ** 2
        return Point(loss, [np.array([x * y * y, x * x * y + self.c * (y - 6)])])

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        x, y = theta
        return np.array([[y * y, 2 * x * y], [2 * x * y, x * x + self.c]])

    def hvps(self, theta: list[np.ndarray], directions: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
        self.evaluations += 2 * len(directions)
        return [[self.hessian(theta[0]) @ v[0]] for v in directions]

    def hessian_derivative(
        self, theta: list[np.ndarray], u: list[np.ndarray], v: list[np.ndarray]
    ) -> list[np.ndarray]:
        self.evaluations += 4
        (x, y), (a, b), (c, d) = theta[0], u[0], v[0]
        mixed = a * d + b * c
        return [np.array([2 * mixed * y + 2 * b * d * x, 2 * a * c * y + 2 * mixed * x])]


class Separate:
    """The sum of functions, each of its own part of the parameters: two numbers each, in one leaf."""

    def __init__(self, *parts: EdgeToy):
        self.parts = parts

    @property
    def evaluations(self) -> float:
        return self.parts[0].evaluations

    def value_and_gradient(self, theta: list[np.ndarray]) -> Point:
        points = [part.value_and_gradient([t]) for part, t in self._each(theta)]
        return Point(sum(p.loss for p in points), [np.concatenate([p.gradient[0] for p in points])])

    def hvps(self, theta: list[np.ndarray], directions: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
        return [
            [np.concatenate([part.hvps([t], [[w]])[0][0] for part, t, w in self._each(theta, v)])]
            for v in directions
        ]

    def hessian_derivative(
        self, theta: list[np.ndarray], u: list[np.ndarray], v: list[np.ndarray]
    ) -> list[np.ndarray]:
        found = [part.hessian_derivative([t], [a], [b]) for part, t, a, b in self._each(theta, u, v)]
        return [np.concatenate([f[0] for f in found])]

    def _each(self, *trees: list[np.ndarray]) -> Iterator[tuple]:
        return zip(self.parts, *(np.split(tree[0], len(self.parts)) for tree in trees), strict=True)


class Quadratic:
    """`L = theta^T H theta / 2`."""

    def __init__(self, matrix: np.ndarray):
        self.matrix = matrix
        self.evaluations = 0.0

    def value_and_gradient(self, theta: list[np.ndarray]) -> Point:
        self.evaluations += 1
        return Point(float(theta[0] @ self.matrix @ theta[0]) / 2, [self.matrix @ theta[0]])

    def hvps(self, theta: list[np.ndarray], directions: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
        self.evaluations += 2 * len(directions)
        return [[self.matrix @ v[0]] for v in directions]

    def hessian_derivative(
        self, theta: list[np.ndarray], u: list[np.ndarray], v: list[np.ndarray]
    ) -> list[np.ndarray]:
        self.evaluations += 4
        return [np.zeros_like(theta[0])]


def flat(objective: Differentiable, size: int = 2) -> FlatObjective:
    """An objective of one leaf."""
    return FlatObjective(objective, [np.zeros(size)])


def dense_pairs(objective: FlatObjective) -> EigenSolver:
    """By all columns of the Hessian."""

    def solve(theta: np.ndarray, k: int, start: np.ndarray | None) -> LargestPairs:
        values, vectors = np.linalg.eigh(objective.hvps(theta, np.eye(len(theta))))
        return LargestPairs(values[-k:], vectors[:, -k:])

    return solve
