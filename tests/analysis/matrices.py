"""Symmetric matrices with known eigenvalues."""

import numpy as np


def spectrum(kind: str, size: int, seed: int = 0) -> np.ndarray:
    """Eigenvalues, ascending."""
    generator = np.random.default_rng(seed)
    bulk = generator.normal(size=size)
    match kind:
        case "outliers":  # as Hessians have them: a bulk about zero, and a few far above
            bulk *= 0.2
            bulk[:3] = 5.0, 8.0, 13.0
        case "indefinite":  # the largest by magnitude is negative
            bulk[0] = -30.0
        case "clustered":
            bulk = np.repeat([4.0, 3.0, -1.0], -(-size // 3))[:size] + 1e-3 * bulk
        case "double":
            bulk[:2] = 9.0
            bulk[2:4] = -9.0
    return np.sort(bulk)


KINDS = ("outliers", "indefinite", "clustered", "double", "normal")


def with_spectrum(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    size = len(values)
    q = np.linalg.qr(np.random.default_rng(1000 + seed).normal(size=(size, size)))[0]
    matrix = (q * values) @ q.T
    return (matrix + matrix.T) / 2
