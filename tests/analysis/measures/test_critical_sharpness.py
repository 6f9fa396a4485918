"""Critical sharpness against curvatures of quadratics by hand."""

import math
import unittest

import numpy as np
from absl.testing import parameterized

from tests.analysis.measures.descent_moments import DescentMoment, measured
from tests.float64 import Float64Case
from tf_fullbatch.analysis.measures.critical_sharpness import (
    ABOVE,
    BELOW,
    CriticalSharpnessSettings,
    smallest_rise,
)

RESOLUTION = 16 / 17  # t is up to 2^k / 16 above the crossing, which is 2^k at least


def measure():
    return CriticalSharpnessSettings().build()


class QuadraticsTest(Float64Case):
    def assert_to_resolution(self, expected, found):
        self.assertTrue(RESOLUTION * expected <= found <= expected, (expected, found))

    def test_gradient_descent_has_the_curvature_along_the_gradient(self):
        """`g.Hg / |g|^2`."""
        moment = DescentMoment()
        for seed in range(20):
            moment.move(seed)
            moment.learning_rate = 10 ** np.random.default_rng(seed).uniform(-4, 1)
            g = moment.gradient
            expected = moment.curvature(g) / (g @ g)
            self.assert_to_resolution(expected, measured(measure(), moment)["critical_sharpness"])

    def test_any_descent_direction(self):
        """The loss along u is `t g.u + t^2 u.Hu / 2`: it rises from `t = -2 g.u / u.Hu` on."""
        generator, moment = np.random.default_rng(1), DescentMoment()
        for seed in range(20):
            moment.move(seed)
            update = generator.normal(size=21)
            update *= -np.sign(update @ moment.gradient)
            moment.given_update = moment.learning_rate * update
            expected = -moment.curvature(update) / (moment.gradient @ update)
            self.assert_to_resolution(expected, measured(measure(), moment)["critical_sharpness"])

    def test_forward_passes_are_what_the_objective_counts(self):
        moment, kept = DescentMoment(0), measure()
        moment.objective.loss()
        for _ in range(3):
            before = moment.objective.evaluations
            found = measured(kept, moment)
            self.assertAlmostEqual(found["forward_passes"] / 3, moment.objective.evaluations - before)

    def test_where_the_search_begins_changes_its_cost_alone(self):
        kept, moment = measure(), DescentMoment(0, 1e-3)
        cold = measured(kept, moment)
        self.assertGreater(cold["forward_passes"], 2 + 4 + 1)
        for rate in (1e-3, 1e-1, 1e-2):
            moment.learning_rate = rate
            warm = measured(kept, moment)
            self.assertEqual(cold["critical_sharpness"], warm["critical_sharpness"])
            self.assertEqual(2 + 4 + 1, warm["forward_passes"])

    def test_goes_on_from_its_state(self):
        first, second, empty = measure(), measure(), measure()
        self.assertEqual({}, first.state())
        measured(first, DescentMoment(0, 1e-3))
        second.restore(first.state())
        empty.restore({})
        moment = DescentMoment(1, 1e-3)
        expected = measured(first, moment)
        self.assertEqual(expected, measured(second, moment))
        self.assertGreater(measured(empty, moment)["forward_passes"], expected["forward_passes"])


class GivesUpTest(Float64Case):
    def test_an_update_uphill(self):
        moment = DescentMoment(0)
        found = measured(measure(), DescentMoment(0, update=0.1 * moment.gradient))
        self.assertTrue(math.isnan(found["critical_sharpness"]))
        self.assertLessEqual(found["forward_passes"], BELOW + 3)

    def test_no_step_at_all(self):
        for moment in (DescentMoment(0, 0.0), DescentMoment(0, update=np.zeros(21))):
            found = measured(measure(), moment)
            self.assertTrue(math.isnan(found["critical_sharpness"]))
            self.assertEqual(0, found["forward_passes"])

    def test_weights_that_are_not_finite(self):
        moment = DescentMoment(0, update=np.ones(21))
        moment.problem.network.trainable_variables[1].assign([np.nan, 0, 0])
        found = measured(measure(), moment)
        self.assertTrue(math.isnan(found["critical_sharpness"]))
        self.assertEqual(1, found["forward_passes"])


class SmallestRiseTest(parameterized.TestCase):
    @parameterized.parameters(None, -30, -3, 0, 1, 2, 30)
    def test_is_within_a_sixteenth_wherever_it_begins(self, exponent):
        for crossing in (0.7, 1.0, 1.01, 1.5, 3.99, 4.0, 100.0):
            asked = []

            def rises(t, crossing=crossing, asked=asked):
                asked.append(t)
                return t > crossing

            k, t = smallest_rise(rises, 1.0, exponent)
            self.assertLessEqual(2.0**k, crossing)
            self.assertTrue(crossing < t <= crossing + 2.0**k / 16, (crossing, t))
            self.assertEqual(len(asked), len(set(asked)))

    def test_ends(self):
        for answer, most in ((True, BELOW + 2), (False, ABOVE + 2)):
            for rate in (1e-6, 1.0, 1e3):
                asked = []
                self.assertIsNone(smallest_rise(lambda t, a=answer, n=asked: n.append(t) or a, rate)[1])
                self.assertLessEqual(len(asked), most)


if __name__ == "__main__":
    unittest.main()
