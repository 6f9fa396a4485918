"""Eigenvalues at either end of a spectrum against dense decompositions."""

import warnings
from typing import Any

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy.sparse.linalg import LinearOperator

from tests.analysis.matrices import KINDS, spectrum, with_spectrum
from tests.core.objectives import INPUTS, LABELS, SAMPLES, ObjectiveCase, asked, mean_hessian
from tests.core.problems import HIDDEN, matrix, micro_batches, smooth
from tf_fullbatch.analysis.eigenvalues import METHODS, Eigenpairs, eigenpairs
from tf_fullbatch.errors import UserError


def ends(dense: np.ndarray, k: int, which: str) -> np.ndarray:
    """The k eigenvalues at one end, the outermost first."""
    values = np.linalg.eigvalsh(dense)
    return values[::-1][:k] if which == "largest" else values[:k]


class EigenpairsCase(ObjectiveCase):
    def assert_pairs(self, found: Eigenpairs, dense: np.ndarray, which: str, tolerance: float) -> None:
        """Values against the dense ones, and what is said of each pair against the textbook's definition."""
        k = len(found.values)
        expected = ends(dense, k, which)
        self.assertTrue(found.converged.all())
        self.assertAllClose(found.values, expected, rtol=0, atol=tolerance * np.abs(expected).max())
        self.assertAllClose(found.vectors.T @ found.vectors, np.eye(k), rtol=0, atol=1e-13)
        left = np.linalg.norm(dense @ found.vectors - found.vectors * found.values, axis=0)
        scale = np.abs(found.values).max()
        self.assertAllClose(found.residuals, left / scale, rtol=1e-6, atol=1e-13)


class OfMatricesTest(EigenpairsCase):
    @parameterized.product(kind=KINDS, which=("largest", "smallest"), method=METHODS, k=(1, 4))
    def test_are_those_of_the_dense_matrix(self, kind: str, which: str, method: str, k: int) -> None:
        for seed in range(2):
            dense = with_spectrum(spectrum(kind, 40, seed), seed)
            found = eigenpairs(dense, k, which, tolerance=1e-10, method=method, seed=seed, most_products=5000)
            self.assert_pairs(found, dense, which, 1e-12)

    @parameterized.product(size=tuple(range(1, 14)), method=METHODS)
    def test_of_any_size_down_to_one(self, size: int, method: str) -> None:
        dense = with_spectrum(spectrum("normal", size, size), size)
        for k in range(1, size + 1):
            for which in ("largest", "smallest"):
                found = eigenpairs(dense, k, which, tolerance=1e-12, method=method, most_products=2000)
                self.assert_pairs(found, dense, which, 1e-12)

    @parameterized.product(gap=(1e-2, 1e-4), k=(1, 2))
    def test_close_eigenvalues_are_told_apart_to_rounding(self, gap: float, k: int) -> None:
        # A step of 1e-10 and below has a direction still; a method that lost it would creep from there.
        values = np.linspace(-1, 1, 20)
        values[-2:] = 2.0, 2.0 + gap
        found = eigenpairs(with_spectrum(values), k, tolerance=1e-14, most_products=150)
        self.assert_pairs(found, with_spectrum(values), "largest", 1e-13)

    @parameterized.product(tolerance=(1e-1, 1e-3, 1e-6), method=METHODS, kind=("outliers", "normal"))
    def test_stops_at_the_tolerance_and_not_long_after(
        self, tolerance: float, method: str, kind: str
    ) -> None:
        dense = with_spectrum(spectrum(kind, 200))
        found = eigenpairs(dense, 2, tolerance=tolerance, method=method)
        self.assertTrue(found.converged.all())
        self.assertLessEqual(found.residuals.max(), tolerance)
        before = eigenpairs(dense, 2, tolerance=tolerance, method=method, most_products=found.products - 2)
        self.assertGreater(before.residuals.max(), tolerance)
        self.assertFalse(before.converged.all())
        # An eigenvalue lies within |r| of a Ritz value (Parlett 1998, theorem 4.5.1).
        distance = np.abs(np.linalg.eigvalsh(dense)[:, None] - found.values).min(0)
        self.assertTrue((distance <= found.residuals * found.values[0] + 1e-12).all())

    def test_what_did_not_converge_says_so_and_warns_nobody(self) -> None:
        dense = with_spectrum(spectrum("normal", 200))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = eigenpairs(dense, 3, tolerance=1e-9, most_products=10)
        self.assertLessEqual(found.products, 10)
        self.assertFalse(found.converged.any())
        self.assertAllGreater(found.residuals, 1e-9)

    @parameterized.parameters(*METHODS)
    def test_counts_the_products_that_the_operator_sees(self, method: str) -> None:
        dense, seen = with_spectrum(spectrum("outliers", 50)), []

        def product(v: np.ndarray) -> np.ndarray:
            seen.append(np.ravel(v))
            return dense @ v

        operator = LinearOperator(dense.shape, matvec=product, dtype=np.float64)
        found = eigenpairs(operator, 3, method=method)
        self.assertEqual(found.products, len(seen))

    @parameterized.parameters(*METHODS)
    def test_the_same_bits_twice(self, method: str) -> None:
        dense = with_spectrum(spectrum("outliers", 80))
        one, two = (eigenpairs(dense, 3, method=method, seed=4) for _ in range(2))
        for name in ("values", "vectors", "residuals", "converged"):
            self.assertAllEqual(getattr(one, name), getattr(two, name))
        other = eigenpairs(dense, 3, method=method, seed=5)
        self.assertFalse(np.array_equal(one.vectors, other.vectors))

    def test_a_matrix_of_zeros_and_one_of_low_rank(self) -> None:
        found = eigenpairs(np.zeros((9, 9)), 2)
        self.assertAllEqual(found.values, [0, 0])
        self.assertAllEqual(found.residuals, [0, 0])
        self.assertTrue(found.converged.all())
        root = np.random.default_rng(0).normal(size=(40, 3))
        found = eigenpairs(root @ root.T, 2, "smallest")
        self.assertAllClose(found.values, [0, 0], rtol=0, atol=1e-12)
        self.assertTrue(found.converged.all())

    @parameterized.parameters(*METHODS)
    def test_of_a_float32_operator(self, method: str) -> None:
        dense = with_spectrum(spectrum("outliers", 100)).astype(np.float32)

        def product(v: np.ndarray) -> np.ndarray:
            return dense @ v.astype(np.float32)

        operator = LinearOperator(dense.shape, matvec=product, dtype=np.float32)
        found = eigenpairs(operator, 3, method=method, tolerance=1e-5)
        self.assertEqual(found.vectors.dtype, np.float64)
        self.assertTrue(found.converged.all())
        self.assertAllClose(found.values, ends(dense.astype(np.float64), 3, "largest"), rtol=1e-6, atol=0)


class StartTest(EigenpairsCase):
    @parameterized.product(method=METHODS, k=(1, 3), seed=(0, 1, 2))
    def test_a_warm_start_saves_products(self, method: str, k: int, seed: int) -> None:
        values = spectrum("outliers", 200, seed)
        dense = with_spectrum(values, seed)
        change = np.random.default_rng(seed).normal(size=dense.shape) * 2e-3
        later = dense + change + change.T
        first = eigenpairs(dense, k, method=method)
        cold = eigenpairs(later, k, method=method, tolerance=1e-6)
        warm = eigenpairs(later, k, method=method, tolerance=1e-6, start=first.vectors)
        self.assertLess(warm.products, cold.products)
        self.assert_pairs(warm, later, "largest", 1e-10)
        self.assertEqual(eigenpairs(dense, k, method=method, start=first.vectors).products, k)

    def test_more_and_fewer_than_were_known(self) -> None:
        dense = with_spectrum(spectrum("outliers", 100))
        three = eigenpairs(dense, 3, tolerance=1e-10)
        five = eigenpairs(dense, 5, tolerance=1e-10, start=three.vectors)
        self.assert_pairs(five, dense, "largest", 1e-12)
        two = eigenpairs(dense, 2, tolerance=1e-9, start=five.vectors)
        self.assert_pairs(two, dense, "largest", 1e-12)
        self.assertEqual(two.products, 2)
        one = eigenpairs(dense, tolerance=1e-9, start=five.vectors[:, 0])
        self.assertEqual(one.products, 1)

    def test_what_is_missing_depends_on_the_seed(self) -> None:
        dense = with_spectrum(spectrum("normal", 50))
        start = np.eye(50, 1)
        found = [eigenpairs(dense, 2, start=start, seed=s, most_products=2).vectors for s in (0, 0, 1)]
        self.assertAllEqual(found[0], found[1])
        self.assertFalse(np.array_equal(found[0], found[2]))

    def test_columns_that_depend_on_each_other_are_replaced(self) -> None:
        dense = with_spectrum(spectrum("outliers", 50))
        v = np.random.default_rng(0).normal(size=50)
        for start in (np.stack([v, v, v], 1), np.zeros((50, 3)), np.stack([v, 0 * v, -2 * v], 1)):
            self.assert_pairs(eigenpairs(dense, 3, start=start, tolerance=1e-10), dense, "largest", 1e-12)

    def test_with_k_products_gives_the_ritz_values_of_the_start(self) -> None:
        dense = with_spectrum(spectrum("normal", 50))
        start = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 3)))[0]
        found = eigenpairs(dense, 3, start=start, most_products=3)
        self.assertAllClose(found.values, np.linalg.eigvalsh(start.T @ dense @ start)[::-1], rtol=1e-12)
        self.assertEqual(found.products, 3)

    def test_an_eigenvector_that_is_no_longer_the_first_holds_a_single_pair(self) -> None:
        # What the docstring warns of, and what a second vector mends.
        values = np.linspace(-1, 1, 30)
        values[:2] = 5.0, 6.0
        dense = np.diag(values)
        held = eigenpairs(dense, start=np.eye(30, 1))
        self.assertAllClose(held.values, [5.0])
        self.assertTrue(held.converged.all())
        self.assertAllClose(eigenpairs(dense, 2, start=np.eye(30, 1)).values, [6.0, 5.0], rtol=1e-5)


class OfNetworksTest(EigenpairsCase):
    @parameterized.parameters(("batch norm", "hessian"), ("both", "ggn"))
    def test_are_those_of_the_dense_curvature(self, name: str, curvature: str) -> None:
        problem = smooth(*HIDDEN[name]())
        if curvature == "hessian":
            dense = mean_hessian(problem, 8)
        else:
            parts = micro_batches(INPUTS, LABELS, 8)
            dense = sum(len(p.inputs) / SAMPLES * matrix(problem, "ggn", p) for p in parts)
        operator = asked(problem).linear_operator(curvature=curvature)
        found = eigenpairs(operator, 3, tolerance=1e-9)
        self.assertEqual(found.products, operator.products)
        self.assert_pairs(found, (dense + dense.T) / 2, "largest", 1e-8)
        if curvature == "hessian":
            found = eigenpairs(operator, 2, "smallest", tolerance=1e-9)
            self.assert_pairs(found, (dense + dense.T) / 2, "smallest", 1e-8)


class RefusedTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        ({"k": 6}, "k=6: accepted is 1 to 5, the number of parameters"),
        ({"k": 0}, "k=0: accepted is 1 to 5"),
        ({"which": "LM"}, "which='LM': accepted are largest, smallest"),
        ({"method": "power"}, "method='power': accepted are lobpcg, lanczos"),
        ({"tolerance": -1.0}, "tolerance=-1.0"),
        ({"tolerance": float("nan")}, "tolerance=nan"),
        ({"k": 2, "most_products": 1}, "most_products=1: at least k=2"),
        ({"start": np.zeros((4, 1))}, r"start has the shape \(4, 1\): accepted is \[5, columns\]"),
        ({"start": np.full(5, np.nan)}, "start has numbers that are not finite"),
    )
    def test_arguments(self, arguments: dict[str, Any], message: str) -> None:
        with self.assertRaisesRegex(UserError, message):
            eigenpairs(np.eye(5), **arguments)

    def test_operators(self) -> None:
        for operator, message in (
            (np.zeros((2, 3)), r"shape \(2, 3\): accepted are square"),
            (np.eye(2) * 1j, "complex128"),
            (np.full((2, 2), np.nan), "not finite"),
        ):
            with self.assertRaisesRegex(UserError, message):
                eigenpairs(operator)


if __name__ == "__main__":
    tf.test.main()
