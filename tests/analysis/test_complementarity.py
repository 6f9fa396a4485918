"""The complementarity problem: its three conditions, solutions that are known, and what has none."""

import numpy as np
from absl.testing import absltest, parameterized

from tf_fullbatch.analysis.flows.complementarity import Solution, complementarity
from tf_fullbatch.errors import UserError

Generator = np.random.Generator


def gram(generator: Generator, k: int, dimension: int, scales: np.ndarray | None = None) -> np.ndarray:
    """`B_ijkl = G_ij . G_kl` of random symmetric `G [k, k, dimension]`, as derivatives of a Hessian give it."""
    g = generator.normal(size=(k, k, dimension))
    g = (g + np.swapaxes(g, 0, 1)) / 2
    if scales is not None:
        g *= scales[:, None, None] * scales[:, None]
    return np.einsum("ijn,kln->ijkl", g, g)


def indefinite(generator: Generator, k: int) -> np.ndarray:
    """A symmetric matrix with a negative eigenvalue."""
    a = generator.normal(size=(k, k))
    a = (a + a.T) / 2
    lowest = np.linalg.eigvalsh(a)[0]
    return a - max(0.0, lowest + 0.5) * np.eye(k)


class ComplementarityTest(parameterized.TestCase):
    def assert_solves(self, found: Solution, a: np.ndarray, b: np.ndarray, tolerance: float = 1e-12) -> None:
        """All three conditions, in units of A and of X."""
        slack = a + np.einsum("ijkl,kl->ij", b, found.x)
        size = np.abs(np.linalg.eigvalsh(a)).max()
        self.assertTrue(found.converged)
        self.assertGreaterEqual(np.linalg.eigvalsh(found.x)[0], -tolerance * np.abs(found.x).max())
        self.assertGreaterEqual(np.linalg.eigvalsh(slack)[0], -tolerance * size)
        self.assertLessEqual(abs(np.sum(found.x * slack)), tolerance * size * np.abs(found.x).max())
        np.testing.assert_allclose(found.slack, slack, rtol=0, atol=1e-12 * size)

    @parameterized.product(k=(1, 2, 3, 5), dimension=(30, 300))
    def test_random_problems_are_solved_in_few_iterations(self, k: int, dimension: int) -> None:
        generator = np.random.default_rng(k)
        for _ in range(20):
            a, b = indefinite(generator, k), gram(generator, k, dimension)
            found = complementarity(a, b)
            self.assert_solves(found, a, b)
            self.assertGreater(np.trace(found.x), 0)
            self.assertLessEqual(found.iterations, 200)

    @parameterized.parameters(2, 3, 5)
    def test_directions_of_different_scales_are_no_harder(self, k: int) -> None:
        generator = np.random.default_rng(7)
        scales = np.geomspace(1e-3, 1e2, k)
        for _ in range(5):
            a = np.diag(scales) @ indefinite(generator, k) @ np.diag(scales)
            b = gram(generator, k, 300, scales)
            found = complementarity(a, b)
            self.assertTrue(found.converged)
            self.assertLessEqual(found.iterations, 200)

    def test_a_number_is_solved_in_closed_form(self) -> None:
        for a, b in ((-3.0, 2.0), (-1e-9, 1e6), (4.0, 2.0), (0.0, 1.0)):
            found = complementarity(np.array([[a]]), np.array([[[[b]]]]))
            np.testing.assert_allclose(found.x, [[max(0.0, -a / b)]], rtol=1e-15)
            self.assertLessEqual(found.iterations, 1)

    @parameterized.product(k=(2, 3, 5), rank=(1, 2))
    def test_a_solution_that_is_known_is_found(self, k: int, rank: int) -> None:
        """A is made of an X and a slack whose ranges are orthogonal; B is definite, so that there is no other."""
        generator = np.random.default_rng(10 * k + rank)
        basis = np.linalg.qr(generator.normal(size=(k, k)))[0]
        values = generator.uniform(0.5, 2, k)
        x = (basis[:, :rank] * values[:rank]) @ basis[:, :rank].T
        slack = (basis[:, rank:] * values[rank:]) @ basis[:, rank:].T
        b = gram(generator, k, 100)
        found = complementarity(slack - np.einsum("ijkl,kl->ij", b, x), b)
        np.testing.assert_allclose(found.x, x, atol=1e-10)
        np.testing.assert_allclose(found.slack, slack, atol=1e-10 * np.abs(b).max())

    def test_it_scales_and_turns_with_the_problem(self) -> None:
        generator = np.random.default_rng(3)
        a, b = indefinite(generator, 3), gram(generator, 3, 100)
        turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
        turned = complementarity(
            1e-7 * turn @ a @ turn.T, 1e5 * np.einsum("pi,qj,rk,sl,ijkl->pqrs", turn, turn, turn, turn, b)
        )
        expected = 1e-12 * turn @ complementarity(a, b).x @ turn.T
        np.testing.assert_allclose(turned.x, expected, rtol=0, atol=1e-11 * np.abs(expected).max())

    def test_nothing_is_asked_for_where_a_is_semidefinite(self) -> None:
        found = complementarity(np.eye(2), np.zeros((2, 2, 2, 2)))
        self.assertEqual((found.converged, found.iterations), (True, 0))
        np.testing.assert_array_equal(found.x, np.zeros((2, 2)))

    def test_what_cannot_be_lifted_does_not_converge(self) -> None:
        self.assertFalse(complementarity(np.array([[-1.0]]), np.zeros((1, 1, 1, 1))).converged)
        flat = np.zeros((2, 2, 2, 2))
        flat[0, 0, 0, 0] = 1.0
        found = complementarity(np.diag([-1.0, -1.0]), flat)
        self.assertFalse(found.converged)
        self.assertGreaterEqual(found.residual, 0.5)

    def test_wrong_arrays_are_refused(self) -> None:
        with self.assertRaisesRegex(UserError, r"shapes \(2, 2\) and \(2, 2\)"):
            complementarity(np.eye(2), np.eye(2))
        with self.assertRaisesRegex(UserError, "not finite"):
            complementarity(np.array([[np.nan]]), np.ones((1, 1, 1, 1)))


if __name__ == "__main__":
    absltest.main()
