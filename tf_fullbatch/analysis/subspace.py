"""A subspace with the operator's images of it, which Rayleigh-Ritz methods grow, look at and shrink."""

import numpy as np
import scipy.linalg

from tf_fullbatch.analysis.products import Products

NEGLIGIBLE = 1e-10
"""Share of a vector's length below which what lies outside a subspace is rounding."""


def orthonormal_outside(basis: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Orthonormal vectors that span what of a block lies outside a subspace.

    Projected out twice, since once leaves the rounding errors of what cancels (Giraud, Langou and Rozloznik 2005).

    Args:
        basis: `[n, j]`, orthonormal columns; j may be 0.
        block: `[n, k]`.

    Returns:
        `[n, i]`, i <= k: directions that vanish, or depend on the others, are left out.
    """
    lengths = np.linalg.norm(block, axis=0)
    block = block[:, lengths > 0] / lengths[lengths > 0]
    block = block - basis @ (basis.T @ block)
    if not block.shape[1]:
        return block
    found, triangle, _ = scipy.linalg.qr(block, mode="economic", pivoting=True)
    found = found[:, np.abs(np.diagonal(triangle)) > NEGLIGIBLE]
    return np.linalg.qr(found - basis @ (basis.T @ found))[0]


class Subspace:
    """An orthonormal basis V `[n, m]`, its images `A V` and `V^T A V`.

    Args:
        product: The symmetric operator A.
        most: Largest m.
    """

    def __init__(self, product: Products, most: int):
        self._product = product
        room = (product.size, min(most, product.size))
        self._basis, self._images = (np.empty(room, order="F") for _ in range(2))
        self._inner = np.zeros((0, 0))

    @property
    def dimension(self) -> int:
        """m."""
        return len(self._inner)

    def add(self, block: np.ndarray) -> int:
        """Takes in what of a block `[n, k]` lies outside, one product per dimension gained; returns their number."""
        old = self.dimension
        block = orthonormal_outside(self._basis[:, :old], block)[:, : self._product.size - old]
        new = old + block.shape[1]
        if new > old:
            self._basis[:, old:new] = block
            self._images[:, old:new] = self._product(block)
            self._update_inner(old, new)
        return new - old

    def ritz(self) -> tuple[np.ndarray, np.ndarray]:
        """Ritz values `[m]`, ascending, and their vectors' coefficients in V, `[m, m]`."""
        return np.linalg.eigh(self._inner)

    def combined(self, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`V C` and `A V C`, both `[n, k]`, of C `[m, k]`."""
        m = self.dimension
        return self._basis[:, :m] @ coefficients, self._images[:, :m] @ coefficients

    def shrink(self, coefficients: np.ndarray) -> None:
        """Keeps `V C` alone, of C `[m, k]` with orthonormal columns; no product is made."""
        kept = coefficients.shape[1]
        self._basis[:, :kept], self._images[:, :kept] = self.combined(coefficients)
        self._inner = coefficients.T @ self._inner @ coefficients

    def _update_inner(self, old: int, new: int) -> None:
        """`V^T A V`, symmetric to the last bit."""
        columns = self._basis[:, :new].T @ self._images[:, old:new]
        inner = np.zeros((new, new))
        inner[:old, :old] = self._inner
        inner[:, old:], inner[old:, :old] = columns, columns[:old].T
        self._inner = (inner + inner.T) / 2
