"""The central flow: against the textbook's equations on a network, and against gradient descent on a toy."""

import functools

import numpy as np
import scipy.optimize
from absl.testing import parameterized

from tests.analysis.flow_objectives import EdgeToy, Quadratic, Separate, dense_pairs, flat
from tests.core.objectives import ObjectiveCase, asked
from tests.core.problems import smooth
from tf_fullbatch.analysis.flows.central_flow import Prediction, central_flow_step
from tf_fullbatch.analysis.flows.flat_objective import FlatObjective, LargestPairs
from tf_fullbatch.errors import UserError

RATE = 0.1


class ToyTest(ObjectiveCase):
    """The toy's flow comes to rest where y^2 = 2 / lr and the variance X of x balances the slope of y."""

    @staticmethod
    @functools.cache
    def settled() -> tuple[np.ndarray, list[Prediction]]:
        objective = flat(EdgeToy())
        theta, start, steps = np.array([0.01, 4.2]), None, []
        for _ in range(1000):
            found = central_flow_step(
                objective, theta, rate=RATE, eigenpairs=dense_pairs(objective), start=start
            )
            theta, start = found.theta, found.vectors
            steps.append(found.prediction)
        return theta, steps

    def test_predicts_what_gradient_descent_does(self) -> None:
        toy, x, y, figures = EdgeToy(), 0.01, 3.0, []
        for _ in range(60_000):
            g = x * y * y, x * x * y + toy.c * (y - 6)
            figures.append((y * y, x * x, (x * y) ** 2 / 2 + toy.c / 2 * (y - 6) ** 2, g[0] ** 2 + g[1] ** 2))
            x, y = x - RATE * g[0], y - RATE * g[1]
            x = np.copysign(max(abs(x), 1e-6), x)  # else it underflows, and the edge is passed unseen
        sharpness, square, loss, norm = np.mean(figures[20_000:], axis=0)
        theta, steps = self.settled()
        last = steps[-1]
        # The flow: of the fixed point, exact.
        y = np.sqrt(2 / RATE)
        variance = toy.c * (6 - y) / y
        self.assertAllClose(theta[1], y, rtol=1e-12)
        self.assertAllClose(last.eigenvalues[0], 20.0, rtol=1e-12)
        self.assertAllClose(last.variances, [variance], rtol=1e-9)
        self.assertAllClose(last.variances[0], 0.000683, atol=5e-7)
        self.assertAllClose(last.mean_loss, 0.00917, atol=5e-6)
        self.assertAllClose(last.mean_squared_gradient_norm, 0.2733, atol=5e-5)
        # Gradient descent: it differs from its flow by 0.6 %.
        self.assertAllClose((sharpness, square), (19.99, 0.000679), rtol=1e-3)
        self.assertAllClose((loss, norm), (0.00913, 0.2717), rtol=1e-3)
        self.assertAllClose(square, last.variances[0], rtol=0.01)
        self.assertAllClose(loss, last.mean_loss, rtol=0.01)
        self.assertAllClose(norm, last.mean_squared_gradient_norm, rtol=0.01)

    def test_it_is_gradient_flow_until_the_edge_and_never_passes_it(self) -> None:
        _, steps = self.settled()
        before = [s for s in steps if s.eigenvalues[0] < 1.95 / RATE]
        self.assertTrue(all(s.variances.size == 0 and s.mean_loss == s.loss for s in before))
        self.assertGreater(len(before), 100)
        self.assertLess(max(s.eigenvalues[0] for s in steps), 20 * (1 + 1e-6))
        self.assertEqual({len(s.eigenvalues) for s in steps}, {2})  # 4.2^2 > 1.5 / lr from the start

    def test_direction_is_the_one_that_oscillates(self) -> None:
        _, steps = self.settled()
        self.assertAllClose(np.abs(steps[-1].directions), [[1.0], [0.0]], atol=1e-9)


class SeveralDirectionsTest(ObjectiveCase):
    """Two toys in one, whose sharpnesses meet the bound together."""

    RATES = (0.002, 0.001)

    def test_each_has_the_variance_that_it_has_alone(self) -> None:
        objective = flat(Separate(*map(EdgeToy, self.RATES)), 4)
        theta, start = np.array([0.0, 4.45, 0.0, 4.46]), None
        for _ in range(300):
            found = central_flow_step(
                objective, theta, rate=RATE, eigenpairs=dense_pairs(objective), start=start
            )
            theta, start = found.theta, found.vectors
        y = np.sqrt(20)
        expected = [c * (6 - y) / y for c in self.RATES]
        self.assertAllClose(theta, [0, y, 0, y], rtol=1e-10)
        self.assertAllClose(found.prediction.variances, expected, rtol=1e-6)
        self.assertAllClose(np.abs(found.prediction.directions), np.eye(4)[:, [0, 2]], atol=1e-6)

    @parameterized.parameters(0.3, 1.0)
    def test_equal_eigenvalues_may_have_any_eigenvectors(self, angle: float) -> None:
        """Off the diagonal of X there is then something, which counts twice."""
        objective = flat(Separate(*map(EdgeToy, self.RATES)), 4)
        theta = np.array([0.0, np.sqrt(20), 0.0, np.sqrt(20)])
        plane = np.eye(4)[:, [0, 2]]
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

        def step(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            rest = np.eye(4)[:, [1]]

            def solve(at: np.ndarray, k: int, start: np.ndarray | None) -> LargestPairs:
                return LargestPairs(np.array([20.0, 20.0, 0.002])[:k], np.hstack([vectors, rest])[:, :k])

            found = central_flow_step(objective, theta, rate=RATE, eigenpairs=solve, substeps=1)
            sigma = (found.prediction.directions * found.prediction.variances) @ found.prediction.directions.T
            return found.theta, sigma

        plain, turned = step(plane), step(plane @ turn)
        self.assertAllClose(turned[0], plain[0], rtol=1e-12)
        self.assertAllClose(turned[1], plain[1], atol=1e-14)
        self.assertGreater(np.trace(plain[1]), 1e-4)


class NetworkTest(ObjectiveCase):
    """One Euler step on a network, beside equations written out with quotients of explicit Hessians."""

    DT = 0.25

    def setUp(self) -> None:
        super().setUp()
        self.objective = asked(smooth())
        self.network = FlatObjective(self.objective, self.objective.theta())
        self.theta = self.network.vector(self.objective.theta())
        self.size = len(self.theta)

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        return np.array([self.network.hvp(theta, unit) for unit in np.eye(self.size)])

    def derivatives(self, u: np.ndarray) -> np.ndarray:
        """`G_ij [k, k, parameters]` by differences of `H u` along each parameter."""
        step = 1e-5
        found = []
        for unit in np.eye(self.size):
            ahead, behind = (
                np.array([self.network.hvp(self.theta + s * unit, v) for v in u.T]).T for s in (step, -step)
            )
            found.append(u.T @ (ahead - behind) / (2 * step))
        return np.moveaxis(np.array(found), 0, -1)

    @parameterized.parameters(1, 2)
    def test_is_the_textbooks_step(self, k: int) -> None:
        values, vectors = np.linalg.eigh(self.hessian(self.theta))
        values, u = values[::-1], vectors[:, ::-1][:, :k]
        rate = 2.02 / values[k - 1]  # so many are above the bound, and the next is not critical
        self.assertLess(values[k], 1.95 / rate)
        g = self.network.value_and_gradient(self.theta)
        G = self.derivatives(u)  # noqa: N806
        a = 2 / rate * np.eye(k) - np.diag(values[:k]) + self.DT * rate * (G @ g.gradient)
        b = self.DT * rate / 2 * np.einsum("ijn,kln->ijkl", G, G)
        x = minimised(a, b)
        self.assertGreater(np.linalg.eigvalsh(x)[-1], 0)
        expected = self.theta - self.DT * rate * (g.gradient + np.einsum("ij,ijn->n", x, G) / 2)
        # One step in four substeps takes the first of them from here.
        states = []

        def solve(theta: np.ndarray, k: int, start: np.ndarray | None) -> LargestPairs:
            states.append(theta)
            return dense_pairs(self.network)(theta, k, start)

        found = central_flow_step(self.network, self.theta, rate=rate, eigenpairs=solve, start=u)
        second = next(s for s in states if not np.array_equal(s, self.theta))
        moved = np.linalg.norm(expected - self.theta)
        self.assertLess(np.linalg.norm(second - expected), 1e-5 * moved)
        trace = np.trace(x)
        prediction = found.prediction
        self.assertAllClose(np.sum(prediction.variances), trace, rtol=1e-5)
        self.assertAllClose(prediction.mean_loss, g.loss + trace / rate, rtol=1e-5)
        square = g.gradient @ g.gradient
        self.assertAllClose(prediction.mean_squared_gradient_norm, square + 4 / rate**2 * trace, rtol=1e-5)
        self.assertAllClose((prediction.loss, prediction.squared_gradient_norm), (g.loss, square))

    def test_far_from_the_edge_it_is_eulers_gradient_flow(self) -> None:
        found = central_flow_step(
            self.network, self.theta, rate=0.1, eigenpairs=dense_pairs(self.network), substeps=2
        )
        theta = self.theta
        for _ in range(2):
            theta = theta - 0.05 * self.network.value_and_gradient(theta).gradient
        self.assertAllClose(found.theta, theta, rtol=1e-14)
        self.assertEqual(found.vectors.shape, (self.size, 1))
        self.assertEqual(found.evaluations, 2 * (1 + 2 * self.size))

    def test_evaluations_of_third_derivatives_are_counted(self) -> None:
        before = self.objective.evaluations
        pairs = np.linalg.eigh(self.hessian(self.theta))
        spent = self.objective.evaluations - before
        found = central_flow_step(
            self.network,
            self.theta,
            rate=1.97 / pairs[0][-2],
            eigenpairs=lambda *_: LargestPairs(pairs[0][-3:], pairs[1][:, -3:]),
            start=pairs[1][:, -3:],
            substeps=1,
        )
        self.assertEqual(spent, 2 * self.size)
        self.assertEqual(
            found.evaluations, 1 + 3 * 4
        )  # a gradient, and three pairs of two critical directions


class RefusalTest(ObjectiveCase):
    @parameterized.parameters(1, 2)
    def test_a_quadratic_above_the_bound_is_refused(self, size: int) -> None:
        objective = flat(Quadratic(np.eye(size) * 30), size)
        with self.assertRaisesRegex(UserError, "30.*pass 2 / rate = 20.*diverges"):
            central_flow_step(objective, np.ones(size), rate=RATE, eigenpairs=dense_pairs(objective))

    def test_a_rate_that_is_none_is_refused(self) -> None:
        objective = flat(Quadratic(np.eye(2)))
        with self.assertRaisesRegex(UserError, "rate=0.0 in 4 substeps"):
            central_flow_step(objective, np.ones(2), rate=0.0, eigenpairs=dense_pairs(objective))


def minimised(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The X = V V^T that minimises `<A, X> + 1/2 <X, B[X]>`, by SciPy's minimiser over V."""
    k = len(a)

    scale = np.abs(b).max() / np.abs(a).max()

    def value(v: np.ndarray) -> float:
        x = v.reshape(k, k) @ v.reshape(k, k).T / scale
        return float(np.sum(a * x) + np.einsum("ij,ijkl,kl", x, b, x) / 2) * scale / np.abs(a).max()

    settings = {"method": "Nelder-Mead", "tol": 1e-14, "options": {"maxiter": 10_000}}
    found = scipy.optimize.minimize(value, np.eye(k).ravel(), **settings)
    v = found.x.reshape(k, k)
    return v @ v.T / scale
