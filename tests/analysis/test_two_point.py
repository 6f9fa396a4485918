"""The two-point recursion: gradient descent to the last bit, when twins part, and power iteration."""

import keras
import numpy as np
from absl.testing import absltest, parameterized

from tests.analysis.flow_objectives import Quadratic, flat
from tests.core.objectives import ObjectiveCase, asked
from tests.core.problems import smooth
from tests.training.small_models import X, Y, model_of
from tf_fullbatch.analysis.flows.flat_objective import FlatObjective
from tf_fullbatch.analysis.flows.two_point import Twins, power_step, twin_step
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent

STEPS = 12


def shifted(weights: list[np.ndarray], seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [w + generator.normal(0, 0.1, w.shape).astype(w.dtype) for w in weights]


class SameBitsTest(absltest.TestCase):
    def test_twins_are_two_runs_of_gradient_descent(self) -> None:
        """In float32, beside `fit`."""
        keras.utils.set_random_seed(1)
        model = model_of(optimizer=GradientDescent(0.3, momentum=0.0), micro_batch_size=5)
        model.build((None, X.shape[1]))
        starts = [shifted(model.get_weights(), seed) for seed in (1, 2)]
        objective = model.objective(X, Y)
        network = FlatObjective(objective, objective.theta())
        twins = Twins(*map(network.vector, starts))
        losses, centres = [], []
        for _ in range(STEPS):
            found = twin_step(network, twins, 0.3)
            twins = found.twins
            losses.append(found.losses)
            centres.append((twins.centre, twins.half_difference))
        self.assertEqual(twins.ahead.dtype, np.float32)
        self.assertEqual(objective.evaluations, 2 * STEPS)
        runs = []
        for start in starts:
            other = model_of(optimizer=GradientDescent(0.3, momentum=0.0), micro_batch_size=5)
            other.build((None, X.shape[1]))
            other.set_weights(start)
            kept = Kept()
            history = other.fit(X, Y, epochs=STEPS, callbacks=[kept], verbose=0).history
            runs.append((history["loss"], kept.weights))
        for (ahead, behind), *both in zip(losses, runs[0][0], runs[1][0], strict=True):
            self.assertEqual([np.float32(ahead), np.float32(behind)], list(map(np.float32, both)))
        for (centre, half), ahead, behind in zip(centres, runs[0][1], runs[1][1], strict=True):
            np.testing.assert_array_equal(centre, (ahead + behind) / 2)
            np.testing.assert_array_equal(half, (ahead - behind) / 2)
        np.testing.assert_array_equal(twins.ahead, runs[0][1][-1])
        self.assertGreater(np.abs(runs[0][1][-1] - runs[0][1][0]).max(), 0.01)


class Kept(keras.callbacks.Callback):
    """Keeps the weights after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.weights.append(np.concatenate([w.ravel() for w in self.model.get_weights()]))


class TwinStepTest(ObjectiveCase):
    def test_is_the_recursion_of_centre_and_half_difference(self) -> None:
        objective = asked(smooth())
        network = FlatObjective(objective, objective.theta())
        c = network.vector(objective.theta())
        z = 0.3 * np.random.default_rng(0).normal(size=len(c))
        twins, rate = Twins(c + z, c - z), 0.7
        for _ in range(5):
            ahead, behind = (network.value_and_gradient(w).gradient for w in (c + z, c - z))
            c, z = c - rate / 2 * (ahead + behind), z - rate / 2 * (ahead - behind)
            twins = twin_step(network, twins, rate).twins
        self.assert_close(twins.centre, c)
        self.assert_close(twins.half_difference, z)

    @parameterized.parameters(0.9, 0.999, 1.001, 1.1)
    def test_twins_part_exactly_where_the_secant_curvature_passes_the_bound(self, share: float) -> None:
        """On a quadratic with several eigenvalues, from many directions: z need be no eigenvector."""
        matrix = np.diag([1.0, 3.0, 8.0])
        objective = flat(Quadratic(matrix), 3)
        for z in np.random.default_rng(0).normal(size=(20, 3)):
            y = matrix @ z
            rate = share * 2 * (z @ y) / (y @ y)
            found = twin_step(objective, Twins(1 + z, 1 - z), rate)
            self.assertAllClose(found.secant_curvature, (y @ y) / (z @ y), rtol=1e-12)
            self.assertAllClose(found.rayleigh, (z @ y) / (z @ z), rtol=1e-12)
            self.assertGreater(found.secant_curvature, found.rayleigh)
            self.assertEqual(found.growth > 1, found.secant_curvature > 2 / rate)
            self.assertEqual(found.growth > 1, share > 1)

    def test_growth_of_an_eigenvector_is_that_of_gradient_descent(self) -> None:
        objective = flat(Quadratic(np.diag([4.0, 1.0])))
        z = np.array([0.1, 0.0])
        found = twin_step(objective, Twins(1 + z, 1 - z), 0.6)
        self.assertAllClose((found.growth, found.rayleigh, found.secant_curvature), (1.4, 4, 4), rtol=1e-12)
        self.assertEqual(found.evaluations, 2)

    def test_twins_that_agree_have_no_curvature(self) -> None:
        found = twin_step(flat(Quadratic(np.eye(2))), Twins(np.ones(2), np.ones(2)), 0.1)
        self.assertTrue(np.isnan([found.growth, found.rayleigh, found.secant_curvature]).all())


class PowerStepTest(ObjectiveCase):
    def test_follows_gradient_descent_with_the_largest_eigenvalue(self) -> None:
        objective = asked(smooth())
        network = FlatObjective(objective, objective.theta())
        theta = plain = network.vector(objective.theta())
        direction = np.random.default_rng(0).normal(size=len(theta))
        for _ in range(60):
            found = power_step(network, theta, direction, 0.05, distance=1e-5)
            theta, direction, last = found.theta, found.direction, theta
            plain = plain - 0.05 * network.value_and_gradient(plain).gradient
        self.assert_close(theta, plain, 1e-9)
        hessian = np.array([network.hvp(last, unit) for unit in np.eye(len(theta))])
        self.assertAllClose(found.eigenvalue, np.linalg.eigvalsh(hessian)[-1], rtol=1e-3)
        self.assertAllClose(found.loss, network.value_and_gradient(last).loss, rtol=1e-8)
        self.assertEqual(found.evaluations, 2)

    def test_without_a_shift_it_goes_to_the_largest_magnitude(self) -> None:
        objective = flat(Quadratic(np.diag([-5.0, 3.0, 1.0])), 3)
        for shift, expected in ((0.0, -5.0), (5.0, 3.0)):
            theta, direction = np.zeros(3), np.array([1.0, 2.0, -1.0])
            for _ in range(100):
                found = power_step(objective, theta, direction, 0.0, distance=1e-3, shift=shift)
                theta, direction = found.theta, found.direction
            self.assertAllClose(found.eigenvalue, expected, rtol=1e-9)

    def test_a_direction_of_no_length_is_refused(self) -> None:
        for direction, distance in ((np.zeros(2), 1e-3), (np.ones(2), 0.0)):
            with self.assertRaisesRegex(UserError, "both have to be positive"):
                power_step(flat(Quadratic(np.eye(2))), np.ones(2), direction, 0.1, distance=distance)
