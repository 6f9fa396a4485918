"""A linear complementarity problem over positive semi-definite matrices: what holds curvatures at their bound."""

import math
from typing import NamedTuple

import numpy as np

from tf_fullbatch.errors import UserError

TOLERANCE = 1e-13
"""Largest residual of a solution, where A and B have been brought to size 1."""
MOST_ITERATIONS = 2000


class Solution(NamedTuple):
    """What solves a complementarity problem.

    Attributes:
        x: `[k, k]`, symmetric and positive semi-definite.
        slack: `[k, k]`, `A + B[x]`.
        residual: The larger of `-min eig(slack)` and `|<x, slack>|`, where A and B have been brought to size 1.
        iterations: Products with B that it took.
        converged: Whether the residual is as small as was asked.
    """

    x: np.ndarray
    slack: np.ndarray
    residual: float
    iterations: int
    converged: bool


def complementarity(
    a: np.ndarray, b: np.ndarray, *, tolerance: float = TOLERANCE, most_iterations: int = MOST_ITERATIONS
) -> Solution:
    """The X with `X >= 0`, `A + B[X] >= 0` and `<X, A + B[X]> = 0`, where `>= 0` means positive semi-definite.

    `B[X]_ij = sum_kl B_ijkl X_kl`. X minimises `<A, X> + 1/2 <X, B[X]>` over `X >= 0`. It is found by projected
    accelerated descent with restart by the gradient's sign, in coordinates `X = D Z D` in which `B_iiii = 1` and B's
    largest eigenvalue is 1: D is diagonal, so that Z is semi-definite where X is. For k = 1 it is `max(0, -A / B)`.

    Args:
        a: `[k, k]`, symmetric.
        b: `[k, k, k, k]`, positive semi-definite as a map of symmetric matrices.
        tolerance: Largest residual, where A and B have been brought to size 1.
        most_iterations: Gives up after so many; `converged` says so. There may be no solution, where B is singular.

    Raises:
        UserError: The shapes do not fit, or an entry is not finite.

    Source:
        Cohen, Damian, Talwalkar, Kolter, Lee 2024 (arXiv 2410.24206), the central flow's complementarity problem;
        Beck, Teboulle 2009 (FISTA); O'Donoghue, Candes 2015, the gradient scheme of restarts.
    """
    a, b = _checked(a, b)
    k = len(a)
    if np.linalg.eigvalsh(a)[0] >= 0:
        return Solution(np.zeros_like(a), a, 0.0, 0, True)
    diagonal = np.einsum("iiii->i", b)
    d = np.where(diagonal > 0, np.maximum(diagonal, np.finfo(float).tiny), 1.0) ** -0.25
    scaled = (np.einsum("ijkl,i,j,k,l->ijkl", b, d, d, d, d)).reshape(k * k, k * k)
    height = float(np.linalg.eigvalsh(scaled)[-1])
    offset = d[:, None] * a * d
    size = float(np.abs(np.linalg.eigvalsh(offset)).max())
    if not height > 0:  # B lifts nothing, and A needs it
        return Solution(np.zeros_like(a), a, -float(np.linalg.eigvalsh(offset)[0]) / size, 0, False)
    z, residual, iterations = _descended(offset / size, scaled / height, tolerance, most_iterations)
    x = d[:, None] * z * d * (size / height)
    return Solution(x, a + np.einsum("ijkl,kl->ij", b, x), residual, iterations, residual <= tolerance)


def _descended(
    a: np.ndarray, b: np.ndarray, tolerance: float, most_iterations: int
) -> tuple[np.ndarray, float, int]:
    """(Z, its residual, iterations), for B `[k k, k k]` with the largest eigenvalue 1."""

    def slack(z: np.ndarray) -> np.ndarray:
        return a + (b @ z.ravel()).reshape(a.shape)

    if a.size == 1:
        z = np.maximum(0.0, -a)
        return z, _residual(z, slack(z)), 1
    x = y = np.zeros_like(a)
    t, residual, iteration = 1.0, math.inf, 0
    for iteration in range(1, most_iterations + 1):
        ahead = _semidefinite(y - slack(y))
        residual = _residual(ahead, slack(ahead))
        if residual <= tolerance:
            return ahead, residual, iteration
        if np.sum((y - ahead) * (ahead - x)) > 0:  # the momentum leads upwards
            t, x, y = 1.0, ahead, ahead
            continue
        later = (1 + math.sqrt(1 + 4 * t * t)) / 2
        t, x, y = later, ahead, ahead + (t - 1) / later * (ahead - x)
    return x, residual, iteration


def _residual(x: np.ndarray, slack: np.ndarray) -> float:
    return max(0.0, -float(np.linalg.eigvalsh(slack)[0]), abs(float(np.sum(x * slack))))


def _semidefinite(matrix: np.ndarray) -> np.ndarray:
    """The nearest positive semi-definite matrix, in the Frobenius norm."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def _checked(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    k = len(a) if a.ndim else 0
    if k == 0 or a.shape != (k, k) or b.shape != (k, k, k, k):
        raise UserError(
            f"a complementarity problem of shapes {a.shape} and {b.shape}: give A as [k, k], B as [k, k, k, k]."
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise UserError(
            "a complementarity problem has numbers that are not finite: look at the gradient and derivatives of the "
            "Hessian that it was made of."
        )
    return (a + a.T) / 2, b
