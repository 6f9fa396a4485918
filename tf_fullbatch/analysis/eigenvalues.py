"""The largest or smallest eigenvalues of a symmetric operator, by its products alone, from what is known of them."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import LinearOperator

from tf_fullbatch.analysis.products import Products
from tf_fullbatch.analysis.subspace import Subspace, orthonormal_outside
from tf_fullbatch.errors import UserError

METHODS = ("lobpcg", "lanczos")
ENDS = ("largest", "smallest")


@dataclass(frozen=True, slots=True)
class Eigenpairs:
    """Eigenvalues and eigenvectors `H u_i = l_i u_i` at one end of a spectrum.

    Attributes:
        values: `[k]`, l_i; descending where the largest were asked for, ascending where the smallest.
        vectors: `[n, k]` float64, u_i, orthonormal columns.
        residuals: `[k]`, `|H u_i - l_i u_i| / max_j |l_j|`, j over the k values here; an eigenvalue of H lies within
            `residuals[i] * max_j |l_j|` of `l_i`. 0 where H vanishes on all u_i.
        converged: `[k]` bool, whether a residual is at most the tolerance, or at most ten roundings of the products
            (of an eigenvalue of 0 there is no relative precision).
        products: Products of H with a vector that were spent.
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    converged: np.ndarray
    products: int


def eigenpairs(
    operator: LinearOperator | np.ndarray,
    k: int = 1,
    which: str = "largest",
    *,
    start: np.ndarray | None = None,
    tolerance: float = 1e-3,
    most_products: int | None = None,
    seed: int = 0,
    method: str = "lobpcg",
) -> Eigenpairs:
    """The k largest or smallest eigenvalues, by sign and not by magnitude.

    Both methods take the Ritz pairs `V^T H V c = l c`, `u = V c` of a subspace V, which starts as the span of `start`
    and grows by the residuals `H u_i - l_i u_i` of those not yet converged, one product each. They differ in what V
    forgets. "lanczos" forgets nothing: V is the (block) Krylov space of the start, two vectors in memory per product.
    "lobpcg" keeps `span(U, U before)`, so V has at most 3k dimensions and there are 6k vectors in memory, and takes a
    few products more. All bases are kept orthonormal, so that nothing degrades as residuals become small. The same
    arguments give the same bits.

    From the vectors of 10 or 50 steps before, one eigenvalue takes 4 to 6 products on average at a tolerance of 1e-3,
    and 22 at most; three take 8 to 12 (a softplus network of 3,466 parameters in float32, gradient descent up to and
    at the edge of stability). "lanczos" saves less than a tenth of the average, and 6 of the 22. SciPy's lobpcg takes
    1.4 to 1.7 times as many from the same vectors, its eigsh 21 always.

    What converges is an eigenpair; that no larger eigenvalue exists is not proven. Started from vectors that are
    eigenvectors still, no other direction is looked at: a new largest eigenvalue, orthogonal to all of `start`, is
    found only from another start, or with a larger k; where eigenvalues may cross, follow one more than is asked for.
    `most_products=k` gives the Ritz values of `start` alone.

    Args:
        operator: H, symmetric `[n, n]`; a `core.operators.CurvatureOperator`, or any other of SciPy's.
        k: How many.
        which: "largest" or "smallest".
        start: `[n, j]` or `[n]`, vectors near those sought, such as those of the last step, best first: columns after
            the k-th are left out, and missing ones are random. None: all random.
        tolerance: Stops as soon as every `|H u_i - l_i u_i| <= tolerance * max_j |l_j|`.
        most_products: Stops before it spends more products; None for 100 per eigenvalue.
        seed: Of random columns.
        method: "lobpcg" or "lanczos".

    Raises:
        UserError: An argument is out of its range, or a product is not finite.

    Source:
        Knyazev 2001, SIAM J. Sci. Comput. 23(2); orthonormal bases as of Hetmaniuk and Lehoucq 2006,
        J. Comput. Phys. 218(1); that growing by residuals without a preconditioner is Lanczos: Stathopoulos
        and Saad 1998, ETNA 7.
    """
    product = Products(operator)
    most = 100 * k if most_products is None else most_products
    _check(product.size, k, which, tolerance, most, method)
    room = 3 * k if method == "lobpcg" else most
    space = Subspace(product, room)
    space.add(_start(product.size, k, start, seed))
    before = np.zeros((k, 0))
    while True:
        found, now, residuals = _ritz_pairs(space, k, which, tolerance, product)
        chosen = np.flatnonzero(~found.converged)[: most - product.made]
        if not len(chosen):
            return found
        if space.dimension + len(chosen) > room:
            step = now - before @ (before.T @ now)  # as small as the residuals, yet free of cancellation
            space.shrink(np.concatenate([now, orthonormal_outside(now, step)], axis=1))
            now = np.eye(space.dimension, k)
        if not space.add(residuals[:, chosen]):
            return found
        before = np.pad(now, ((0, space.dimension - len(now)), (0, 0)))


def _ritz_pairs(
    space: Subspace, k: int, which: str, tolerance: float, product: Products
) -> tuple[Eigenpairs, np.ndarray, np.ndarray]:
    """The Ritz pairs at one end, their coefficients in the basis `[m, k]`, and `H u_i - l_i u_i` `[n, k]`."""
    ritz, coefficients = space.ritz()
    order = slice(None, -k - 1, -1) if which == "largest" else slice(k)
    values, coefficients = ritz[order], coefficients[:, order]
    vectors, images = space.combined(coefficients)
    residuals = images - vectors * values
    lengths = np.linalg.norm(residuals, axis=0)
    scale = np.abs(values).max()
    rounding = 10 * product.rounding * np.abs(ritz).max()
    converged = lengths <= max(tolerance * scale, rounding)
    found = Eigenpairs(values, vectors, lengths / scale if scale else lengths, converged, product.made)
    return found, coefficients, residuals


def _start(size: int, k: int, start: np.ndarray | None, seed: int) -> np.ndarray:
    """k orthonormal columns, those of `start` first."""
    given = np.zeros((size, 0)) if start is None else np.asarray(start, np.float64)
    if given.ndim not in (1, 2) or len(given) != size:
        raise UserError(f"start has the shape {given.shape}: accepted is [{size}, columns].")
    given = given.reshape(size, -1)
    if not np.isfinite(given).all():
        raise UserError(
            "start has numbers that are not finite: give the vectors of an earlier call, or None."
        )
    kept = orthonormal_outside(np.zeros((size, 0)), given[:, :k])
    drawn = np.random.default_rng(seed).normal(size=(size, k))
    return np.concatenate([kept, orthonormal_outside(kept, drawn)[:, : k - kept.shape[1]]], axis=1)


def _check(size: int, k: int, which: str, tolerance: float, most: int, method: str) -> None:
    if not 1 <= k <= size:
        raise UserError(f"k={k}: accepted is 1 to {size}, the number of parameters.")
    if which not in ENDS:
        raise UserError(f"which={which!r}: accepted are {', '.join(ENDS)}.")
    if method not in METHODS:
        raise UserError(f"method={method!r}: accepted are {', '.join(METHODS)}.")
    if not 0 <= tolerance < 1:
        raise UserError(f"tolerance={tolerance}: accepted is a relative residual, 0 <= tolerance < 1.")
    if most < k:
        raise UserError(f"most_products={most}: at least k={k}, one for each vector, are needed.")
