"""The update and the momentum beside the gradient, with angles that are known."""

import unittest

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.analysis.measures.descent_moments import DescentMoment, measured
from tests.float64 import Float64Case
from tf_fullbatch.analysis.angles import angle, cosine
from tf_fullbatch.analysis.measures.gradient_flow_angle import GradientFlowAngleSettings
from tf_fullbatch.analysis.measures.momentum_similarity import MomentumSimilaritySettings


def turned(vector, degrees):
    """The vector turned by an angle towards some other direction, and made 7 times as long."""
    across = np.random.default_rng(2).normal(size=vector.shape)
    across -= vector * (vector @ across) / (vector @ vector)
    across *= np.linalg.norm(vector) / np.linalg.norm(across)
    return 7 * (np.cos(np.radians(degrees)) * vector + np.sin(np.radians(degrees)) * across)


class GradientFlowAngleTest(Float64Case):
    @parameterized.parameters(0.001, 1, 30, 90, 120, 179)
    def test_is_that_of_the_update_to_the_negative_gradient(self, degrees):
        moment = DescentMoment(0)
        moment = DescentMoment(0, update=turned(-moment.gradient, degrees))
        found = measured(GradientFlowAngleSettings().build(), moment)
        np.testing.assert_allclose(found["gradient_flow_angle"], degrees, rtol=1e-10)
        np.testing.assert_allclose(
            found["gradient_flow_cosine"], np.cos(np.radians(degrees)), rtol=1e-12, atol=1e-14
        )

    def test_gradient_descent_follows_it(self):
        for rate in (1e-3, 1.0):
            found = measured(GradientFlowAngleSettings().build(), DescentMoment(0, rate))
            np.testing.assert_allclose(found["gradient_flow_angle"], 0, atol=1e-12)
            np.testing.assert_allclose(found["gradient_flow_cosine"], 1, rtol=1e-14)

    def test_no_update_has_no_angle(self):
        found = measured(GradientFlowAngleSettings().build(), DescentMoment(0, update=np.zeros(21)))
        np.testing.assert_array_equal(list(found.values()), [np.nan, np.nan])


class MomentumSimilarityTest(Float64Case):
    @parameterized.parameters(0, 1, 30, 90, 120, 180)
    def test_is_the_cosine_of_momentum_and_gradient(self, degrees):
        moment = DescentMoment(0)
        moment = DescentMoment(0, momentum=turned(moment.gradient, degrees))
        found = measured(MomentumSimilaritySettings().build(), moment)
        expected = np.cos(np.radians(degrees))
        np.testing.assert_allclose(found["momentum_similarity"], expected, rtol=1e-12, atol=1e-14)

    def test_nan_without_momentum(self):
        for momentum in (None, np.zeros(21)):
            found = measured(MomentumSimilaritySettings().build(), DescentMoment(0, momentum=momentum))
            np.testing.assert_array_equal(found["momentum_similarity"], np.nan)


class AnglesTest(unittest.TestCase):
    def test_small_angles_of_float32_trees(self):
        """2^-10 is exact in float32, whose own cosine of that angle would be off by a tenth of it."""
        x, y = [tf.constant([1.0]), tf.constant([[0.0]])], [tf.constant([1.0]), tf.constant([[2.0**-10]])]
        np.testing.assert_allclose(angle(x, y), np.degrees(np.arctan(2.0**-10)), rtol=1e-14)
        np.testing.assert_allclose(cosine(x, y), np.cos(np.arctan(2.0**-10)), rtol=1e-15)

    def test_a_cosine_stays_within_its_range(self):
        for seed in range(50):
            x = [tf.constant(np.random.default_rng(seed).normal(size=9))]
            self.assertLessEqual(cosine(x, x), 1)
            self.assertEqual(0, angle(x, x))

    def test_what_is_not_finite_has_none(self):
        for wrong in (0.0, np.inf, np.nan):
            x, y = [tf.constant([wrong])], [tf.constant([1.0])]
            for of in (angle, cosine):
                np.testing.assert_array_equal([of(x, y), of(y, x)], np.nan)


if __name__ == "__main__":
    unittest.main()
