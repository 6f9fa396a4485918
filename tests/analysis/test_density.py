"""Stochastic Lanczos quadrature against dense matrices, and against the weights that were once taken for it."""

import numpy as np
import scipy.linalg
import tensorflow as tf
from absl.testing import parameterized

from tests.analysis.matrices import KINDS, spectrum, with_spectrum
from tests.core.objectives import ObjectiveCase, asked, mean_hessian
from tests.core.problems import HIDDEN, smooth
from tf_fullbatch.analysis.density import Density, density, effective_rank
from tf_fullbatch.analysis.lanczos import tridiagonal
from tf_fullbatch.analysis.probes import rademacher
from tf_fullbatch.analysis.products import Products
from tf_fullbatch.errors import UserError


def outliers() -> np.ndarray:
    """200 rows, three eigenvalues far above the others."""
    return with_spectrum(spectrum("outliers", 200))


def quadratures(matrix: np.ndarray, steps: int, probes: int, weights: str) -> list[tuple[np.ndarray, ...]]:
    """Probe, nodes and weights of each, by dense eigenvectors of T and a choice of weights."""
    generator, found = np.random.default_rng(1), []
    for _ in range(probes):
        v = generator.choice([-1.0, 1.0], len(matrix))
        diagonal, beside = tridiagonal(Products(matrix), v, steps)
        nodes, s = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
        chosen = {"first row": s[0] ** 2, "first column": s[:, 0] ** 2, "all": np.sum(s**2, 0)}[weights]
        found.append((v / np.linalg.norm(v), nodes, chosen / chosen.sum()))
    return found


class LanczosTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*KINDS)
    def test_is_the_operator_on_an_orthonormal_basis(self, kind: str) -> None:
        # The textbook's basis: QR of the Krylov vectors, in few steps, where they are still apart.
        matrix, v = with_spectrum(spectrum(kind, 30)), np.random.default_rng(0).normal(size=30)
        krylov = np.stack([np.linalg.matrix_power(matrix, p) @ v for p in range(5)], 1)
        q = np.linalg.qr(krylov / np.linalg.norm(krylov, axis=0))[0]
        diagonal, beside = tridiagonal(Products(matrix), v, 5)
        expected = q.T @ matrix @ q
        scale = np.abs(expected).max()
        self.assertAllClose(diagonal, np.diag(expected), rtol=0, atol=1e-6 * scale)
        self.assertAllClose(beside, np.abs(np.diag(expected, 1)), rtol=0, atol=1e-6 * scale)

    def test_no_eigenvalue_comes_twice(self) -> None:
        # Without orthogonalisation, eigenvalues far out are found again and again within 60 steps.
        matrix = outliers()
        diagonal, beside = tridiagonal(Products(matrix), np.ones(200), 120)
        nodes = np.linalg.eigvalsh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
        values = np.linalg.eigvalsh(matrix)
        self.assertAllClose(nodes[-3:], values[-3:], rtol=1e-12)
        self.assertLess(nodes[-4], 0.5 * values[-3])

    def test_stops_where_the_space_ends(self) -> None:
        matrix = with_spectrum(np.repeat([-1.0, 2.0, 5.0], 10))
        diagonal, beside = tridiagonal(Products(matrix), np.ones(30), 20)
        self.assertLen(diagonal, 3)
        self.assertLen(beside, 2)
        for zero in (np.zeros((4, 4)), np.eye(1)):
            diagonal, beside = tridiagonal(Products(zero), np.ones(len(zero)), 20)
            self.assertAllEqual(diagonal, zero[0, :1])
            self.assertEmpty(beside)


class QuadratureTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("outliers", "indefinite", "normal")
    def test_is_exact_for_polynomials_up_to_twice_the_steps(self, kind: str) -> None:
        matrix = with_spectrum(spectrum(kind, 40))
        matrix /= np.abs(np.linalg.eigvalsh(matrix)).max()
        for v, nodes, weights in quadratures(matrix, 5, 3, "first row"):
            for power in range(10):
                expected = v @ np.linalg.matrix_power(matrix, power) @ v
                self.assertAlmostEqual(weights @ nodes**power, expected, delta=1e-13)
            if kind == "normal":  # where no eigenvalue outweighs the others
                tenth = v @ np.linalg.matrix_power(matrix, 10) @ v
                self.assertGreater(abs(weights @ nodes**10 - tenth), 1e-6)

    @parameterized.parameters("first column", "all")
    def test_other_weights_are_not(self, wrong: str) -> None:
        matrix = outliers()
        for v, nodes, weights in quadratures(matrix, 20, 3, wrong):
            self.assertGreater(abs(weights @ nodes - v @ matrix @ v), 1e-3)

    def test_moments_of_outliers(self) -> None:
        matrix = outliers()
        exact = [np.trace(matrix) / 200, np.trace(matrix @ matrix) / 200]
        found = density(matrix, probes=40, steps=20)
        self.assertAllClose(found.weights.sum(1), np.ones(40), rtol=1e-13)
        self.assertEqual((found.nodes.shape, found.products), ((40, 20), 800))
        for power, expected in enumerate(exact, 1):
            moment = found.moment(power)
            self.assertLess(abs(moment.value - expected), 3 * moment.standard_error)
            self.assertLess(moment.standard_error, 0.5 * abs(expected))
        for wrong in ("first column", "all"):
            moments = [[w @ t**p for _, t, w in quadratures(matrix, 20, 40, wrong)] for p in (1, 2)]
            off = [
                abs(np.mean(m) - e) / (np.std(m, ddof=1) / np.sqrt(40))
                for m, e in zip(moments, exact, strict=True)
            ]
            self.assertGreater(max(off), 3, wrong)

    def test_standard_errors_are_those_of_many_seeds(self) -> None:
        matrix = with_spectrum(spectrum("outliers", 40))
        moments = [density(matrix, probes=5, steps=2, seed=s).moment(2) for s in range(200)]
        values = np.array([m.value for m in moments])
        self.assertAllClose(values.mean(), np.trace(matrix @ matrix) / 40, rtol=0.05)
        claimed = np.sqrt(np.mean([m.standard_error**2 for m in moments]))
        self.assertAllClose(claimed, values.std(ddof=1), rtol=0.2)

    def test_all_steps_give_all_eigenvalues(self) -> None:
        values = spectrum("normal", 30)
        found = density(with_spectrum(values), probes=3, steps=80)
        self.assertAllClose(found.nodes, np.stack([values] * 3), rtol=0, atol=1e-8)

    def test_spaces_of_different_lengths_side_by_side(self) -> None:
        # Probes that begin (1, 1) are eigenvectors; those that begin (1, -1) are none.
        matrix = scipy.linalg.block_diag([[0.0, 1.0], [1.0, 0.0]], 1.0)
        found = density(matrix, probes=12)
        self.assertEqual({tuple(nodes) for nodes in found.nodes.round(12)}, {(1, 1), (-1, 1)})
        self.assertIn((1, 0), {tuple(weights) for weights in found.weights.round(12)})
        for kind in (matrix, np.zeros((3, 3)), np.eye(5), np.diag([1.0, 1.0, 2.0])):
            found = density(kind, probes=6, steps=5)
            values = np.linalg.eigvalsh(kind)
            self.assertAllClose(found.weights.sum(1), np.ones(6), rtol=1e-13)
            self.assertAllGreaterEqual(found.nodes, values[0] - 1e-12)
            self.assertAllLessEqual(found.nodes, values[-1] + 1e-12)
            self.assertTrue(np.isfinite(found.smoothed(np.linspace(-2, 3, 11))).all())

    def test_the_same_bits_twice_and_more_probes_go_on_from_fewer(self) -> None:
        matrix = outliers()
        one, two, more = (density(matrix, probes, 10, seed=3) for probes in (2, 2, 4))
        self.assertAllEqual(one.nodes, two.nodes)
        self.assertAllEqual(one.weights, two.weights)
        self.assertAllEqual(one.nodes, more.nodes[:2])
        self.assertFalse(np.array_equal(one.nodes, density(matrix, 2, 10, seed=4).nodes))

    def test_refused(self) -> None:
        for arguments in ({"probes": 0}, {"steps": 0}):
            with self.assertRaisesRegex(UserError, "=0: accepted is 1 and above"):
                density(np.eye(3), **arguments)
        for width in (0.0, -1.0, float("nan"), float("inf")):
            with self.assertRaisesRegex(UserError, "width="):
                density(np.eye(3)).smoothed(np.zeros(1), width)


class SmoothedTest(tf.test.TestCase):
    def test_is_a_density_with_the_moments_of_the_nodes(self) -> None:
        found = density(outliers(), steps=30)
        span = np.ptp(found.nodes)
        for width in (None, 0.02):
            deviation = (1 / (29 * np.sqrt(8 * np.log(3))) if width is None else width) * span
            grid = np.linspace(found.nodes.min() - 8 * deviation, found.nodes.max() + 8 * deviation, 20001)
            values, step = found.smoothed(grid, width), grid[1] - grid[0]
            self.assertAllClose(values.sum() * step, 1, rtol=1e-9)
            self.assertAllClose((values * grid).sum() * step, found.moment(1).value, rtol=1e-7)
            second = found.moment(2).value + deviation**2
            self.assertAllClose((values * grid**2).sum() * step, second, rtol=1e-7)

    def test_of_one_node(self) -> None:
        found = Density(np.array([[2.0]]), np.array([[1.0]]), 1, 1)
        normal = np.exp(-(((2.5 - 2) / 0.2) ** 2) / 2) / (0.2 * np.sqrt(2 * np.pi))
        self.assertAllClose(found.smoothed(np.array([2.5]), 0.1), [normal], rtol=1e-12)


class EffectiveRankTest(tf.test.TestCase):
    def test_counts_equal_eigenvalues_of_either_sign(self) -> None:
        self.assertAllClose(effective_rank(np.array([3.0, -3.0, 3.0, 0.0, 0.0])), 3, rtol=1e-12)
        self.assertAllClose(effective_rank(np.array([1e-200, 0.0])), 1, rtol=1e-12)
        self.assertEqual(effective_rank(np.zeros(4)), 0)
        # p = (1/2, 1/4, 1/4): the entropy is 3/2 ln 2.
        self.assertAllClose(effective_rank(np.array([2.0, 1.0, 1.0])), 2**1.5, rtol=1e-12)
        self.assertAllClose(effective_rank(np.array([2.0, 1.0]), np.array([1, 2])), 2**1.5, rtol=1e-12)

    def test_bounds_the_stable_rank(self) -> None:
        for seed in range(20):
            values = np.random.default_rng(seed).normal(size=9) ** 3
            rank = effective_rank(values)
            self.assertLessEqual(np.sum(values**2) / np.max(values**2), rank)
            self.assertLessEqual(rank, 9)
            self.assertAllClose(effective_rank(-7 * values), rank, rtol=1e-12)

    def test_of_a_density_is_that_of_the_matrix(self) -> None:
        values = spectrum("outliers", 100)
        found = density(with_spectrum(values), probes=200, steps=100)
        self.assertAllClose(found.effective_rank(), effective_rank(values), rtol=0.05)
        negative = -values[values < 0].sum() / np.abs(values).sum()
        self.assertAllClose(found.negative_mass(), negative, rtol=0.1)
        self.assertEqual(density(np.zeros((3, 3))).negative_mass(), 0)
        self.assertAllClose(density(-np.eye(3)).negative_mass(), 1)


class OfNetworksTest(ObjectiveCase):
    def test_nodes_and_moments_of_a_hessian(self) -> None:
        problem = smooth(*HIDDEN["batch norm"]())
        dense, operator = mean_hessian(problem, 8), asked(problem).linear_operator()
        values, size = np.linalg.eigvalsh((dense + dense.T) / 2), len(dense)
        found = density(operator, probes=2, steps=size)
        self.assertEqual(found.products, operator.products)
        self.assertAllClose(found.nodes[:, -2:], np.stack([values[-2:]] * 2), rtol=1e-10)
        self.assertAllClose(found.nodes[:, 0], values[[0] * 2], rtol=1e-8)
        generator = np.random.default_rng(0)
        probes = np.stack([rademacher(generator, size) for _ in range(2)], 1) / np.sqrt(size)
        for power in (1, 2):
            of_probes = np.sum(probes * (np.linalg.matrix_power(dense, power) @ probes), axis=0)
            self.assertAllClose(np.sum(found.weights * found.nodes**power, 1), of_probes, rtol=1e-10)


if __name__ == "__main__":
    tf.test.main()
