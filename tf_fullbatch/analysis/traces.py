"""The trace of a symmetric operator from its products with random vectors."""

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator

from tf_fullbatch.analysis.probes import Estimate, mean_of, rademacher
from tf_fullbatch.analysis.products import Products
from tf_fullbatch.errors import UserError


def trace(
    operator: LinearOperator | np.ndarray, method: str = "hutchinson", products: int = 100, seed: int = 0
) -> Estimate:
    """The trace, without bias and with its standard error.

    "hutchinson" averages `z^T H z` over vectors z of random signs; its variance is twice the sum of the squares of
    all that stands off the diagonal, divided by their number. The others spend two thirds or half of their products
    on finding where H is large, and are better where its eigenvalues decay fast. The bound of Hutch++, an error of the
    order of `tr H / products`, holds for positive semi-definite matrices; Hessians are indefinite, for them the nuclear
    norm stands in the place of the trace. Both keep a third (half) as many vectors in memory as there are products;
    Hutchinson keeps one.

    Args:
        operator: H, symmetric `[n, n]`; a `core.operators.CurvatureOperator`, or any other of SciPy's.
        method: "hutchinson", "hutch++" or "xtrace".
        products: Products with vectors, at most; multiples of 3 (Hutch++) and 2 (XTrace) are used up. With n and more,
            the trace is taken exactly, by the n products that this takes.
        seed: Of the probes; the same arguments give the same bits.

    Returns:
        The trace. XTrace's standard error treats its samples as independent, which they are not quite.

    Raises:
        UserError: An argument is out of its range, or a product is not finite.

    Source:
        Hutchinson 1990; Meyer, Musco, Musco and Woodruff 2021 (arXiv 2010.09649), algorithm 1; Epperly, Tropp and
        Webber 2024 (arXiv 2301.07825), XTrace with normalised residuals.
    """
    if method not in METHODS:
        raise UserError(f"method={method!r}: accepted are {', '.join(METHODS)}.")
    estimate, least = METHODS[method]
    product = Products(operator)
    if products >= product.size:
        return Estimate(_exact(product), 0.0, product.made)
    if products < least:
        raise UserError(f"products={products}: method={method!r} takes at least {least}.")
    return estimate(product, products, np.random.default_rng(seed))


def _exact(product: Products) -> float:
    unit, total = np.zeros(product.size), 0.0
    for i in range(product.size):
        unit[i] = 1
        total += product(unit)[i]
        unit[i] = 0
    return float(total)


def _hutchinson(product: Products, products: int, generator: np.random.Generator) -> Estimate:
    samples = np.zeros(products)
    for i in range(products):
        z = rademacher(generator, product.size)
        samples[i] = z @ product(z)
    return mean_of(samples, product.made)


def _hutch_plus_plus(product: Products, products: int, generator: np.random.Generator) -> Estimate:
    """`tr Q^T H Q + tr (I - QQ^T) H (I - QQ^T)`, Q a basis of `H S`; the second term as Hutchinson does."""
    third = products // 3
    sketch = product(_signs(generator, product.size, third))
    q = np.linalg.qr(sketch)[0]
    large = np.sum(q * product(q))
    probes = _signs(generator, product.size, third)
    probes -= q @ (q.T @ probes)
    rest = mean_of(np.sum(probes * product(probes), axis=0), product.made)
    return Estimate(large + rest.value, rest.standard_error, product.made)


def _xtrace(product: Products, products: int, generator: np.random.Generator) -> Estimate:
    """Hutch++ from each of k vectors, with the basis of the images of the other k - 1; all of that by 2k products.

    Of `H Omega = Q R`, the images without the i-th span the part of Q orthogonal to the unit vector s_i, column i of
    `R^-T` normalised. Omega is Gaussian; only its directions count.
    """
    k, n = products // 2, product.size
    omega = generator.normal(size=(n, k))
    images = product(omega)
    q, r = np.linalg.qr(images)
    inner = q.T @ product(q)
    inner = (inner + inner.T) / 2
    if _rank(r, product.rounding) < k:  # the images are all of the range: nothing is left outside of it
        return Estimate(float(np.trace(inner)), 0.0, product.made)
    s = np.linalg.inv(r).T
    s /= np.linalg.norm(s, axis=0)
    w = q.T @ omega
    w -= s * np.sum(s * w, axis=0)
    large = np.trace(inner) - np.sum(s * (inner @ s), axis=0)
    outside = np.sum(omega * images, axis=0) - 2 * np.sum(w * r, axis=0) + np.sum(w * (inner @ w), axis=0)
    lengths = np.sum(omega**2, axis=0) - np.sum(w**2, axis=0)
    return mean_of(large + (n - k + 1) * outside / lengths, product.made)


def _rank(triangle: np.ndarray, rounding: float) -> int:
    values = np.linalg.svd(triangle, compute_uv=False)
    return int(np.sum(values > 10 * rounding * values[0])) if values[0] else 0


def _signs(generator: np.random.Generator, size: int, count: int) -> np.ndarray:
    return np.stack([rademacher(generator, size) for _ in range(count)], axis=1)


METHODS: dict[str, tuple[Callable[[Products, int, np.random.Generator], Estimate], int]] = {
    "hutchinson": (_hutchinson, 2),
    "hutch++": (_hutch_plus_plus, 6),
    "xtrace": (_xtrace, 4),
}
"""Name -> the estimate, and the fewest products of which it can tell its standard error."""
