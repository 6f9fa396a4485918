"""How the eigenvalues of a symmetric operator are spread, by stochastic Lanczos quadrature."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import LinearOperator

from tf_fullbatch.analysis.lanczos import tridiagonal
from tf_fullbatch.analysis.probes import Estimate, mean_of, rademacher
from tf_fullbatch.analysis.products import Products
from tf_fullbatch.errors import UserError


@dataclass(frozen=True, slots=True)
class Density:
    """A spectral density `phi(t) = 1/n sum_i delta(t - l_i)`, known by the quadrature of each probe.

    For a function f, `sum_k w_k f(theta_k)` of a probe v is `v^T f(H) v / |v|^2`, exactly where f is a polynomial of a
    degree up to 2m - 1; its mean over random v is `tr f(H) / n`.

    Attributes:
        nodes: `[probes, m]`, theta, ascending: Ritz values, all between the smallest and the largest eigenvalue. Where
            a probe had fewer, its last one stands again, with the weight 0.
        weights: `[probes, m]`, w, of sum 1 per probe.
        size: n, number of eigenvalues.
        products: Products of the operator with a vector that were spent.
    """

    nodes: np.ndarray
    weights: np.ndarray
    size: int
    products: int

    def smoothed(self, grid: np.ndarray, width: float | None = None) -> np.ndarray:
        """The density with a Gaussian in the place of each node, averaged over probes; its integral is 1.

        Args:
            grid: `[points]`, in the units of eigenvalues.
            width: Standard deviation of the Gaussians as a share of the span of all nodes (where that is 0: of their
                magnitude, or of 1). None: `1 / ((m - 1) sqrt(8 ln 3))`, what m nodes can resolve (after Lin, Saad and
                Yang 2016, SIAM Review 58(1), with kappa = 3).

        Returns:
            `[points]`, share of all eigenvalues per unit of eigenvalue.

        Raises:
            UserError: The width is not above 0.
        """
        if width is None:
            width = 1 / (max(self.nodes.shape[1] - 1, 1) * np.sqrt(8 * np.log(3)))
        if not 0 < width < np.inf:
            raise UserError(f"width={width}: accepted is a share of the spectrum's span, above 0.")
        deviation = width * (np.ptp(self.nodes) or np.abs(self.nodes).max() or 1.0)
        found = np.zeros(np.shape(grid))
        for node, weight in zip(self.nodes.ravel(), self.weights.ravel(), strict=True):
            found += weight * np.exp(-(((np.asarray(grid) - node) / deviation) ** 2) / 2)
        return found / (deviation * np.sqrt(2 * np.pi) * len(self.nodes))

    def moment(self, power: int) -> Estimate:
        """`tr H^p / n`, with the standard error over probes; free of quadrature errors up to p = 2m - 1."""
        return mean_of(np.sum(self.weights * self.nodes**power, axis=1), self.products)

    def negative_mass(self) -> float:
        """`sum_(l<0) |l| / sum |l|`: the share of negative curvature in all curvature; 0 of a matrix of zeros.

        It is weighted by size, since the number of eigenvalues below 0 says little: most are 0 but for rounding.
        """
        sizes = self.weights * np.abs(self.nodes)
        return float(np.sum(sizes[self.nodes < 0]) / (np.sum(sizes) or 1.0))

    def effective_rank(self) -> float:
        """`effective_rank` of all n eigenvalues, each node standing for its weight's share of them."""
        return effective_rank(self.nodes, self.size * self.weights / len(self.nodes))


def density(
    operator: LinearOperator | np.ndarray, probes: int = 10, steps: int = 80, seed: int = 0
) -> Density:
    """The spectral density from `probes * steps` products.

    Each probe v has random signs. Lanczos' method from v gives a tridiagonal `T = S diag(theta) S^T`; the nodes are
    theta, the weights the squares of the first row of S, the first components of T's eigenvectors.

    Args:
        operator: H, symmetric `[n, n]`; a `core.operators.CurvatureOperator`, or any other of SciPy's.
        probes: Random vectors.
        steps: m, nodes per probe; n at most. As many vectors are in memory.
        seed: Of the probes; the same arguments give the same bits.

    Raises:
        UserError: An argument is out of its range, or a product is not finite.

    Source:
        Ubaru, Chen and Saad 2017, SIAM J. Matrix Anal. Appl. 38(4); Ghorbani, Krishnan and Xiao 2019
        (arXiv 1901.10159).
    """
    for name, value in (("probes", probes), ("steps", steps)):
        if value < 1:
            raise UserError(f"{name}={value}: accepted is 1 and above.")
    product = Products(operator)
    generator = np.random.default_rng(seed)
    quadratures = []
    for _ in range(probes):
        nodes, vectors = scipy.linalg.eigh_tridiagonal(
            *tridiagonal(product, rademacher(generator, product.size), steps)
        )
        quadratures.append((nodes, vectors[0] ** 2))
    most = max(len(nodes) for nodes, _ in quadratures)
    return Density(
        nodes=np.stack([np.pad(nodes, (0, most - len(nodes)), "edge") for nodes, _ in quadratures]),
        weights=np.stack([np.pad(weights, (0, most - len(weights))) for _, weights in quadratures]),
        size=product.size,
        products=product.made,
    )


def effective_rank(values: np.ndarray, multiplicities: np.ndarray | None = None) -> float:
    """`exp(-sum_i p_i ln p_i)`, `p_i = |l_i| / sum |l|`: the number of eigenvalues that matter, 0 of a zero matrix.

    k equal eigenvalues beside zeros have the effective rank k. It looks at all of the spectrum; the stable rank
    `|H|_F^2 / |H|_2^2 = sum l^2 / max l^2`, which never exceeds it, at the large ones alone.

    Args:
        values: Eigenvalues l, any shape.
        multiplicities: How often each stands, same shape, fractions allowed; None for once.

    Source:
        Roy and Vetterli 2007, EUSIPCO, where they are singular values.
    """
    sizes = np.abs(np.ravel(values))
    counts = np.ones_like(sizes) if multiplicities is None else np.ravel(multiplicities)
    total = np.sum(counts * sizes)
    if not total:
        return 0.0
    shares = sizes[sizes > 0] / total
    return float(np.exp(-np.sum(counts[sizes > 0] * shares * np.log(shares))))
