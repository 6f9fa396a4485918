"""Traces from random probes against dense matrices."""

from typing import Any

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy.sparse.linalg import LinearOperator

from tests.analysis.matrices import KINDS, spectrum, with_spectrum
from tests.core.objectives import ObjectiveCase, asked, mean_hessian
from tests.core.problems import HIDDEN, smooth
from tf_fullbatch.analysis import traces
from tf_fullbatch.analysis.products import Products
from tf_fullbatch.analysis.traces import METHODS, trace
from tf_fullbatch.errors import UserError


def errors(matrix: np.ndarray, method: str, products: int, seeds: int) -> np.ndarray:
    """Value less the trace, and the claimed standard error, `[seeds, 2]`."""
    found = [trace(matrix, method, products, seed) for seed in range(seeds)]
    return np.array([[f.value - np.trace(matrix), f.standard_error] for f in found])


class TraceTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(method=tuple(METHODS), kind=KINDS)
    def test_is_without_bias_and_knows_its_error(self, method: str, kind: str) -> None:
        found = errors(with_spectrum(spectrum(kind, 60)), method, 24, 300)
        error, claimed = found[:, 0], np.sqrt(np.mean(found[:, 1] ** 2))
        deviation = error.std(ddof=1)
        self.assertLess(abs(error.mean()), 4 * deviation / np.sqrt(300))
        self.assertAllClose(claimed, deviation, rtol=0.25)

    def test_hutchinsons_variance_is_that_of_what_is_off_the_diagonal(self) -> None:
        matrix = with_spectrum(spectrum("normal", 40))
        off = matrix - np.diag(np.diag(matrix))
        error = errors(matrix, "hutchinson", 10, 500)[:, 0]
        self.assertAllClose(np.var(error), 2 * np.sum(off**2) / 10, rtol=0.2)
        diagonal = trace(np.diag(np.arange(9.0)), products=2)
        self.assertAllClose((diagonal.value, diagonal.standard_error), (36.0, 0.0))

    @parameterized.parameters("hutch++", "xtrace")
    def test_others_gain_where_eigenvalues_decay_fast(self, method: str) -> None:
        matrix = with_spectrum(0.5 ** np.arange(80.0))
        deviations = [errors(matrix, name, 30, 30)[:, 0].std() for name in (method, "hutchinson")]
        self.assertLess(deviations[0], 0.02 * deviations[1])

    @parameterized.parameters("hutch++", "xtrace")
    def test_of_low_rank_they_are_exact(self, method: str) -> None:
        root = np.random.default_rng(0).normal(size=(50, 3))
        matrix = root @ np.diag([3.0, -2.0, 1.0]) @ root.T
        found = trace(matrix, method, 30)
        self.assertAllClose(found.value, np.trace(matrix), rtol=1e-12)
        self.assertLess(found.standard_error, 1e-12 * abs(found.value))
        self.assertEqual(trace(np.zeros((50, 50)), method, 30).value, 0)

    def test_xtrace_is_the_mean_over_bases_that_leave_one_out(self) -> None:
        matrix = with_spectrum(spectrum("indefinite", 40))
        omega = np.random.default_rng(7).normal(size=(40, 6))
        samples = []
        for i in range(6):
            q = np.linalg.qr(matrix @ np.delete(omega, i, 1))[0]
            rest = omega[:, i] - q @ (q.T @ omega[:, i])
            scale = (40 - 5) / (rest @ rest)
            samples.append(np.trace(q.T @ matrix @ q) + scale * rest @ matrix @ rest)
        found = trace(matrix, "xtrace", 12, seed=7)
        self.assertAllClose(found.value, np.mean(samples), rtol=1e-10)
        self.assertAllClose(found.standard_error, np.std(samples, ddof=1) / np.sqrt(6), rtol=1e-9)

    def test_hutch_plus_plus_is_the_papers(self) -> None:
        matrix, generator = with_spectrum(spectrum("normal", 40)), np.random.default_rng(3)
        s, g = (np.stack([traces.rademacher(generator, 40) for _ in range(5)], 1) for _ in range(2))
        q = np.linalg.qr(matrix @ s)[0]
        outside = np.eye(40) - q @ q.T
        expected = np.trace(q.T @ matrix @ q) + np.trace(g.T @ outside @ matrix @ outside @ g) / 5
        found = trace(matrix, "hutch++", 17, seed=3)
        self.assertAllClose(found.value, expected, rtol=1e-12)
        self.assertEqual(found.products, 15)

    @parameterized.parameters(*METHODS)
    def test_spends_what_it_says_and_no_more_than_an_exact_one(self, method: str) -> None:
        matrix, seen = with_spectrum(spectrum("normal", 20)), []

        def product(v: np.ndarray) -> np.ndarray:
            seen.append(0)
            return matrix @ v

        for products in (6, 7, 11, 19, 20, 1000):
            seen.clear()
            found = trace(LinearOperator((20, 20), matvec=product, dtype=np.float64), method, products)
            self.assertEqual(found.products, len(seen))
            self.assertLessEqual(found.products, products)
            self.assertGreater(found.products, min(products, 20) - 3)
        self.assertAllClose((found.value, found.standard_error), (np.trace(matrix), 0.0), rtol=1e-13)
        self.assertEqual(found.products, 20)

    @parameterized.parameters(*METHODS)
    def test_the_same_bits_twice(self, method: str) -> None:
        matrix = with_spectrum(spectrum("outliers", 50))
        self.assertEqual(trace(matrix, method, 20, 4), trace(matrix, method, 20, 4))
        self.assertNotEqual(trace(matrix, method, 20, 4).value, trace(matrix, method, 20, 5).value)

    @parameterized.parameters(
        ({"method": "hutch"}, r"method='hutch': accepted are hutchinson, hutch\+\+, xtrace"),
        ({"products": 1}, "products=1: method='hutchinson' takes at least 2"),
        ({"method": "xtrace", "products": 3}, "takes at least 4"),
        ({"method": "hutch++", "products": 5}, "takes at least 6"),
    )
    def test_refused(self, arguments: dict[str, Any], message: str) -> None:
        with self.assertRaisesRegex(UserError, message):
            trace(np.eye(9), **arguments)


class ProductsTest(tf.test.TestCase):
    def test_integers_are_as_precise_as_float64(self) -> None:
        self.assertEqual(Products(np.eye(2, dtype=np.int64)).rounding, np.finfo(np.float64).eps)
        self.assertEqual(Products(np.eye(2, dtype=np.float32)).rounding, np.finfo(np.float32).eps)


class OfNetworksTest(ObjectiveCase):
    def test_of_a_hessian(self) -> None:
        problem = smooth(*HIDDEN["batch norm"]())
        dense, operator = mean_hessian(problem, 8), asked(problem).linear_operator()
        exact = trace(operator, products=len(dense))
        self.assertAllClose(exact.value, np.trace(dense), rtol=1e-12)
        for method in METHODS:
            found = trace(operator, method, 30)
            self.assertLess(abs(found.value - np.trace(dense)), 3 * found.standard_error)
            self.assertLess(found.standard_error, 0.5 * np.trace(dense))


if __name__ == "__main__":
    tf.test.main()
