"""Sharpness: of a parabola against its Hessian, of one step against SAM and ASAM, and what rescaling changes."""

import math

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import optimize

from tests.analysis.known_objectives import TARGETS, Parabola
from tests.core.objectives import ObjectiveCase, asked, random_tree
from tests.core.problems import Problem, flat, smooth
from tests.networks import CLASSES, FEATURES, UNITS
from tf_fullbatch.analysis.flatness import average_case_sharpness, worst_case_sharpness
from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.errors import UserError

RHO = 0.3


def largest_rise(known: Parabola, w: np.ndarray, scale: np.ndarray) -> float:
    """`max g u + u H u / 2` over |u| <= rho, H and g in units of `scale`: `(lambda - H) u = g`, |u| = rho."""
    hessian = scale[:, None] * known.hessian * scale
    slope = scale * (known.hessian @ (w - known.minimum))
    values, vectors = np.linalg.eigh(hessian)
    along = vectors.T @ slope

    def excess(multiplier: float) -> float:
        return float(np.linalg.norm(along / (multiplier - values)) - RHO)

    top = values[-1]
    multiplier = optimize.brentq(excess, top + 1e-9, top + 10 * np.linalg.norm(slope) / RHO, xtol=1e-14)
    u = along / (multiplier - values)
    return float(along @ u + 0.5 * u @ (values * u))


class ParabolaTest(ObjectiveCase):
    def setUp(self) -> None:
        super().setUp()
        self.known = Parabola()
        self.theta = random_tree(self.known.objective.theta(), 5)
        self.w = flat(self.theta)

    @parameterized.parameters(False, True)
    def test_worst_case_is_the_largest_rise_in_the_ball(self, adaptive: bool) -> None:
        scale = np.abs(self.w) if adaptive else np.ones_like(self.w)
        found = worst_case_sharpness(self.known.objective, self.theta, RHO, adaptive=adaptive, steps=60)
        self.assertAllClose(found.sharpness, largest_rise(self.known, self.w, scale), rtol=1e-9, atol=0)
        self.assertAllClose(np.linalg.norm(flat(found.perturbation) / scale), RHO, rtol=1e-12)
        there = self.known.loss(self.w + flat(found.perturbation)) - self.known.loss(self.w)
        self.assertAllClose(found.sharpness, there, rtol=1e-12)
        self.assertEqual(found.sharpness, found.rises.max())

    def test_at_the_minimum_it_is_half_the_top_eigenvalue(self) -> None:
        theta = trees.unflatten(tf.constant(self.known.minimum), self.theta)
        found = worst_case_sharpness(self.known.objective, theta, RHO, steps=150)
        top = np.linalg.eigvalsh(self.known.hessian)[-1]
        self.assertAllClose(found.sharpness, 0.5 * RHO**2 * top, rtol=1e-9)

    def test_where_the_gradient_is_exactly_zero(self) -> None:
        known = Parabola(np.zeros_like(TARGETS))
        theta = trees.scale(0.0, self.theta)
        self.assertEqual(float(trees.squared_norm(known.objective.value_and_gradient(theta).gradient)), 0)
        found = worst_case_sharpness(known.objective, theta, RHO, steps=100)
        self.assertAllClose(found.sharpness, 0.5 * RHO**2 * np.linalg.eigvalsh(known.hessian)[-1], rtol=1e-9)
        adaptive = worst_case_sharpness(known.objective, theta, RHO, adaptive=True, steps=3)
        self.assertEqual(adaptive.sharpness, 0)

    def test_a_cube(self) -> None:
        found = worst_case_sharpness(self.known.objective, self.theta, RHO, norm="inf", steps=30)
        delta = flat(found.perturbation)
        self.assertAllClose(np.abs(delta), np.full_like(delta, RHO), rtol=1e-12)
        for i in range(len(delta)):  # no corner beside it is higher
            beside = delta.copy()
            beside[i] *= -1
            self.assertLess(self.known.loss(self.w + beside), self.known.loss(self.w + delta))

    @parameterized.parameters(False, True)
    def test_average_is_half_the_trace(self, adaptive: bool) -> None:
        scale = np.abs(self.w) if adaptive else np.ones_like(self.w)
        found = average_case_sharpness(self.known.objective, self.theta, RHO, adaptive=adaptive, draws=60)
        expected = 0.5 * RHO**2 * np.sum(np.diag(self.known.hessian) * scale**2)
        self.assertLess(abs(found.sharpness - expected), 3 * found.standard_error)
        self.assertLess(found.standard_error, 0.2 * expected)
        self.assertAllClose(found.sharpness, np.mean(found.rises), rtol=1e-15)
        self.assertAllClose(found.standard_error, np.std(found.rises, ddof=1) / math.sqrt(60), rtol=1e-12)

    def test_both_signs_leave_no_slope(self) -> None:
        """A pair's mean rise on a parabola is `rho^2 z H z / 2`, wherever it is taken."""
        elsewhere = random_tree(self.theta, 9)
        one, other = (
            average_case_sharpness(self.known.objective, t, RHO, draws=3) for t in (self.theta, elsewhere)
        )
        self.assertAllClose(one.rises, other.rises, rtol=1e-10, atol=0)
        self.assertGreater(np.std(one.rises), 0.01 * one.sharpness)


class StepTest(ObjectiveCase):
    def test_one_step_is_sams_and_asams(self) -> None:
        objective = asked(smooth())
        theta = objective.theta()
        theta[1] = random_tree([theta[1]])[0]
        w, gradient = flat(theta), flat(objective.value_and_gradient(theta).gradient)
        sam = worst_case_sharpness(objective, theta, 0.05, steps=1)
        self.assert_close(flat(sam.perturbation), 0.05 * gradient / np.linalg.norm(gradient))
        asam = worst_case_sharpness(objective, theta, 0.05, adaptive=True, steps=1)
        self.assert_close(flat(asam.perturbation), 0.05 * w**2 * gradient / np.linalg.norm(w * gradient))
        rise = objective.loss(trees.add_scaled(theta, 1.0, asam.perturbation)) - objective.loss(theta)
        self.assertAllClose(asam.sharpness, rise, rtol=1e-9)

    def test_more_steps_find_no_less(self) -> None:
        objective = asked(smooth())
        found = [worst_case_sharpness(objective, objective.theta(), 2.0, steps=s) for s in (1, 5, 15)]
        self.assertAllEqual(found[1].rises, found[2].rises[:5])
        sharpness = [f.sharpness for f in found]
        self.assertEqual(sharpness, sorted(sharpness))
        self.assertGreater(sharpness[2], 1.05 * sharpness[0])

    def test_nothing_is_assigned_and_evaluations_are_counted(self) -> None:
        problem = smooth(keras.layers.BatchNormalization())
        objective = asked(problem)
        before = [v.numpy() for v in problem.network.variables]
        worst_case_sharpness(objective, problem.theta, 0.1, steps=4)
        self.assertAllClose(objective.evaluations, 5, rtol=1e-12)
        average_case_sharpness(objective, problem.theta, 0.1, draws=3)
        self.assertAllClose(objective.evaluations, 5 + 7 / 3, rtol=1e-12)
        for variable, old in zip(problem.network.variables, before, strict=True):
            self.assertAllEqual(variable, old)

    def test_words(self) -> None:
        objective = asked(smooth())
        theta = objective.theta()
        for rho in (0.0, -1.0, math.nan, math.inf):
            with self.assertRaisesRegex(UserError, "rho=.*takes a radius above 0"):
                worst_case_sharpness(objective, theta, rho)
        with self.assertRaisesRegex(UserError, "steps=0"):
            worst_case_sharpness(objective, theta, 0.1, steps=0)
        with self.assertRaisesRegex(UserError, "draws=0"):
            average_case_sharpness(objective, theta, 0.1, draws=0)
        with self.assertRaisesRegex(UserError, "norm='l1': accepted are l2, inf"):
            worst_case_sharpness(objective, theta, 0.1, norm="l1")
        self.assertTrue(math.isnan(average_case_sharpness(objective, theta, 0.1, draws=1).standard_error))


class RescaledTest(ObjectiveCase):
    """A rectified layer's weights may be multiplied and the next one's divided: the network stays the same."""

    def setUp(self) -> None:
        super().setUp()
        keras.utils.set_random_seed(0)
        layers = [keras.Input((FEATURES,)), keras.layers.Dense(UNITS, "relu"), keras.layers.Dense(CLASSES)]
        self.objective: Objective = asked(Problem(keras.Sequential(layers)))
        self.theta = random_tree(self.objective.theta(), 1)
        factors = tf.constant([0.2, 0.5, 1.5, 3.0, 7.0], tf.float64)
        kernel, bias, head, offset = self.theta
        self.rescaled = [kernel * factors, bias * factors, head / factors[:, tf.newaxis], offset]

    def sharpness(self, theta: trees.Tree, adaptive: bool) -> tuple[float, float, float]:
        settings = {"adaptive": adaptive}
        return (
            worst_case_sharpness(self.objective, theta, 0.1, steps=10, **settings).sharpness,
            worst_case_sharpness(self.objective, theta, 0.02, norm="inf", steps=10, **settings).sharpness,
            average_case_sharpness(self.objective, theta, 0.1, draws=5, **settings).sharpness,
        )

    def test_adaptive_sharpness_does_not_see_it(self) -> None:
        before, after = (self.sharpness(theta, adaptive=True) for theta in (self.theta, self.rescaled))
        self.assertAllClose(after, before, rtol=1e-9, atol=0)
        self.assertGreater(min(before[:2]), 0.01)

    def test_plain_sharpness_does(self) -> None:
        before, after = (self.sharpness(theta, adaptive=False) for theta in (self.theta, self.rescaled))
        self.assertAllClose(self.objective.loss(self.rescaled), self.objective.loss(self.theta), rtol=1e-12)
        for one, other in zip(before, after, strict=True):
            self.assertGreater(abs(one - other), 0.1 * abs(one))

    def test_weights_of_zero_stay_zero_where_it_is_adaptive(self) -> None:
        self.theta[1] = tf.zeros_like(self.theta[1])
        found = worst_case_sharpness(self.objective, self.theta, 0.1, adaptive=True, steps=3)
        self.assertAllEqual(found.perturbation[1], self.theta[1])


if __name__ == "__main__":
    tf.test.main()
