"""Gradient flow against its closed form, its order on a smooth network, and how its steps are chosen."""

import numpy as np
import scipy.linalg
from absl.testing import parameterized
from scipy.sparse.linalg import eigsh

from tests.analysis.flow_objectives import Quadratic, dense_pairs, flat
from tests.core.objectives import ObjectiveCase, asked
from tests.core.problems import smooth
from tf_fullbatch.analysis.flows.flat_objective import FlatObjective, LargestPairs
from tf_fullbatch.analysis.flows.gradient_flow import gradient_flow, runge_kutta_step
from tf_fullbatch.errors import UserError

MATRIX = np.array([[4.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, -0.3]])
START = np.array([1.0, -2.0, 0.5])


class RungeKuttaTest(ObjectiveCase):
    def test_a_linear_flow_is_the_exponential_series_to_the_fourth_power(self) -> None:
        found = runge_kutta_step(flat(Quadratic(MATRIX), 3), START, 0.1)
        m = -0.1 * MATRIX
        series = np.eye(3) + m + m @ m / 2 + m @ m @ m / 6 + m @ m @ m @ m / 24
        np.testing.assert_allclose(found, series @ START, rtol=1e-14)

    def test_its_error_falls_by_the_fourth_power_of_the_step(self) -> None:
        objective = asked(smooth())
        network = FlatObjective(objective, objective.theta())
        start = network.vector(objective.theta())

        def after(steps: int) -> np.ndarray:
            theta = start
            for _ in range(steps):
                theta = runge_kutta_step(network, theta, 0.5 / steps)
            return theta

        exact = after(48)
        errors = [np.linalg.norm(after(steps) - exact) for steps in (3, 6, 12)]
        orders = np.log2(np.divide(errors[:-1], errors[1:]))
        self.assertAllClose(orders, [4, 4], atol=0.3)
        self.assertGreater(np.linalg.norm(exact - start), 0.01)


class GradientFlowTest(ObjectiveCase):
    def test_a_quadratic_falls_as_its_exponential(self) -> None:
        quadratic = Quadratic(MATRIX)
        objective = flat(quadratic, 3)
        found = gradient_flow(objective, START, rate=0.25, steps=6, eigenpairs=dense_pairs(objective))
        # Steps of 1 / lambda_max leave a relative error of about exp(-1) / 120 in the stiffest direction.
        self.assertAllClose(found.theta, scipy.linalg.expm(-1.5 * MATRIX) @ START, atol=5e-3)
        largest = np.linalg.eigvalsh(MATRIX)[-1]
        self.assertAllClose(found.sharpness, largest, rtol=1e-12)
        self.assertEqual(found.substeps, int(np.ceil(1.5 * largest)))
        self.assertEqual(found.evaluations, found.substeps * (4 + 2 * 3))
        self.assertEqual(found.evaluations, quadratic.evaluations)

    @parameterized.parameters((1, 7), (3, 3), (100, 1))
    def test_the_eigenvalue_is_found_as_often_as_asked(self, solve_every: int, solves: int) -> None:
        objective = flat(Quadratic(MATRIX), 3)
        solve, starts = dense_pairs(objective), []

        def counted(theta: np.ndarray, k: int, start: np.ndarray | None) -> LargestPairs:
            starts.append(start)
            return solve(theta, k, start)

        found = gradient_flow(
            objective, START, rate=1.5, eigenpairs=counted, start=START[:, None], solve_every=solve_every
        )
        self.assertEqual((found.substeps, len(starts)), (7, solves))
        np.testing.assert_array_equal(starts[0], START[:, None])
        self.assertTrue(all(s.shape == (3, 1) for s in starts))

    def test_any_solver_does(self) -> None:
        """A Krylov method, over SciPy's view of the Hessian, beside all of its columns."""
        objective = flat(Quadratic(MATRIX), 3)

        def krylov(theta: np.ndarray, k: int, start: np.ndarray | None) -> LargestPairs:
            return LargestPairs(*eigsh(objective.hessian(theta), k, which="LA", v0=np.ravel(start)))

        found = gradient_flow(objective, START, rate=0.25, steps=6, eigenpairs=krylov, start=START[:, None])
        expected = gradient_flow(objective, START, rate=0.25, steps=6, eigenpairs=dense_pairs(objective))
        self.assertAllClose(found.theta, expected.theta, rtol=1e-12)

    def test_a_network_descends_as_far_as_gradient_descent_does(self) -> None:
        """Gradient descent at a rate r is the flow but for O(r), whatever time is counted in."""
        objective = asked(smooth())
        network = FlatObjective(objective, objective.theta())
        start = theta = network.vector(objective.theta())
        for _ in range(100):
            theta = theta - 0.01 * network.value_and_gradient(theta).gradient
        found = gradient_flow(network, start, rate=0.01, steps=100, eigenpairs=dense_pairs(network))
        moved = np.linalg.norm(found.theta - start)
        self.assertLess(np.linalg.norm(found.theta - theta), 0.02 * moved)
        self.assertGreater(moved, 0.1)

    def test_where_everything_curves_downwards_one_step_is_enough(self) -> None:
        objective = flat(Quadratic(-np.eye(2)))
        found = gradient_flow(objective, np.ones(2), rate=0.5, eigenpairs=dense_pairs(objective))
        self.assertEqual(found.substeps, 1)
        self.assertAllClose(found.theta, np.exp(0.5) * np.ones(2), atol=1e-3)

    def test_what_leads_nowhere_is_refused(self) -> None:
        objective = flat(Quadratic(MATRIX), 3)
        solve = dense_pairs(objective)
        with self.assertRaisesRegex(UserError, "time has to be positive"):
            gradient_flow(objective, START, rate=0.0, eigenpairs=solve)
        with self.assertRaisesRegex(UserError, r"shape \(2,\), but there are 3"):
            gradient_flow(
                objective,
                START[:2],
                rate=0.1,
                eigenpairs=lambda *_: LargestPairs(np.ones(1), np.ones((2, 1))),
            )
        with self.assertRaisesRegex(UserError, r"values \[1\] and vectors \[3, 1\] were asked for"):
            gradient_flow(
                objective, START, rate=0.1, eigenpairs=lambda *_: LargestPairs(np.ones(1), np.ones(3))
            )
        with self.assertRaisesRegex(UserError, "eigenvalues are not finite"):
            gradient_flow(
                objective,
                START,
                rate=0.1,
                eigenpairs=lambda *_: LargestPairs(np.full(1, np.inf), np.ones((3, 1))),
            )
        broken = flat(Quadratic(MATRIX * np.nan), 3)
        with self.assertRaisesRegex(UserError, "loss or its gradient is not finite"):
            gradient_flow(
                broken, START, rate=0.1, eigenpairs=lambda *_: LargestPairs(np.ones(1), np.ones((3, 1)))
            )
