"""Lanczos' method: a symmetric operator as a tridiagonal matrix, on the Krylov space of a vector."""

import numpy as np

from tf_fullbatch.analysis.products import Products


def tridiagonal(product: Products, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """`T = Q^T A Q`, Q an orthonormal basis of `span(v, A v, ..., A^(m-1) v)` whose first column is `v / |v|`.

    Every new vector is made orthogonal to all before, twice, so that no eigenvalue comes up again as a copy of itself
    ("ghosts"). Memory: m vectors of float64.

    Args:
        product: A.
        start: v, `[n]`, not 0.
        steps: m, one product each; fewer are made where the space is exhausted before.

    Returns:
        The diagonal of T `[m]` and what stands beside it `[m - 1]`.

    Source:
        Golub and Van Loan 2013, chapter 10; twice is enough: Giraud, Langou and Rozloznik 2005.
    """
    steps = min(steps, product.size)
    basis = np.empty((product.size, steps), order="F")
    diagonal, beside = np.zeros(steps), np.zeros(steps)
    vector = start / np.linalg.norm(start)
    for i in range(steps):
        basis[:, i] = vector
        image = product(vector)
        diagonal[i] = vector @ image
        known = basis[:, : i + 1]
        for _ in range(2):
            image = image - known @ (known.T @ image)
        beside[i] = np.linalg.norm(image)
        scale = max(np.abs(diagonal).max(), beside[:i].max(initial=0))
        if beside[i] <= 100 * product.rounding * scale:
            return diagonal[: i + 1], beside[:i]
        vector = image / beside[i]
    return diagonal, beside[:-1]
