"""Predictions beside measurements: windows, directions, and a toy whose answers are known."""

import numpy as np
from absl.testing import absltest

from tests.analysis.flow_objectives import EdgeToy, dense_pairs, flat
from tf_fullbatch.analysis.flows.central_flow import Prediction, central_flow_step
from tf_fullbatch.analysis.flows.comparison import UNMOVED, Observation, compare, observe
from tf_fullbatch.errors import UserError

RATE = 0.1


def predicted(loss: float, variances: list[float]) -> Prediction:
    k = len(variances)
    return Prediction(0.0, 0.0, loss, 2 * loss, np.array(variances), np.zeros((4, k)), np.zeros(k))


def observed(loss: float, squares: list[float]) -> Observation:
    return Observation(loss, 3 * loss, np.array(squares), 1.0)


class ComparisonTest(absltest.TestCase):
    def test_means_are_of_whole_windows(self) -> None:
        found = compare([predicted(i, []) for i in range(7)], [observed(2 * i, []) for i in range(7)], 3)
        np.testing.assert_allclose(found.loss.predicted, [1, 4])
        np.testing.assert_allclose(found.loss.measured, [2, 8])
        np.testing.assert_allclose(found.loss.relative_error, [-0.5, -0.5])
        np.testing.assert_allclose(found.squared_gradient_norm.predicted, [2, 8])
        np.testing.assert_allclose(found.squared_gradient_norm.measured, [6, 24])
        self.assertEqual(found.variances.predicted.shape, (2, 0))
        np.testing.assert_array_equal(found.variance.relative_error, [np.nan, np.nan])

    def test_directions_count_in_the_steps_that_have_them(self) -> None:
        predictions = [predicted(1, v) for v in ([3.0], [5.0, 2.0], [1.0], [])]
        observations = [observed(1, v) for v in ([4.0], [6.0, 1.0], [2.0], [])]
        found = compare(predictions, observations, 2)
        np.testing.assert_array_equal(found.variances.predicted, [[4, 2], [1, np.nan]])
        np.testing.assert_array_equal(found.variances.measured, [[5, 1], [2, np.nan]])
        np.testing.assert_array_equal(found.variance.predicted, [5, 0.5])
        np.testing.assert_array_equal(found.variance.measured, [5.5, 1])

    def test_what_does_not_fit_is_refused(self) -> None:
        for predictions, observations, window in ((2, 1, 1), (2, 2, 3), (2, 2, 0)):
            with self.assertRaisesRegex(UserError, "give as many of both, and at least one window"):
                compare([predicted(1, [])] * predictions, [observed(1, [])] * observations, window)


class ToyTest(absltest.TestCase):
    def test_gradient_descent_oscillates_as_predicted(self) -> None:
        """Both start on the flow's fixed point, descent as far off it as the variance says."""
        objective, variance = flat(EdgeToy()), 0.002 * (6 - np.sqrt(20)) / np.sqrt(20)
        theta = np.array([0.0, np.sqrt(20)])
        iterate, start = np.array([np.sqrt(variance), theta[1]]), None
        predictions, observations = [], []
        for _ in range(400):
            step = central_flow_step(
                objective, theta, rate=RATE, eigenpairs=dense_pairs(objective), start=start
            )
            predictions.append(step.prediction)
            before = objective.evaluations
            observations.append(observe(objective, iterate, theta, step))
            self.assertEqual(objective.evaluations, before + 1)
            iterate = iterate - RATE * objective.value_and_gradient(iterate).gradient
            theta, start = step.theta, step.vectors
        found = compare(predictions, observations, 400)
        for quantity in (found.loss, found.squared_gradient_norm, found.variance):
            np.testing.assert_allclose(quantity.relative_error, 0, atol=0.01)
        np.testing.assert_allclose(found.variances.measured[0], [variance], rtol=0.01)
        self.assertGreater(min(o.along_sharpest for o in observations), 1e-3)

    def test_an_iterate_on_the_unstable_manifold_shows(self) -> None:
        objective, theta = flat(EdgeToy()), np.array([0.0, 4.6])
        step = central_flow_step(objective, theta, rate=RATE, eigenpairs=dense_pairs(objective))
        self.assertLess(observe(objective, theta, theta, step).along_sharpest, UNMOVED)


if __name__ == "__main__":
    absltest.main()
