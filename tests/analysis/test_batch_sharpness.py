"""Batch sharpness and gradient-noise interaction against dense Hessians of every micro-batch."""

import functools
import itertools

import keras
import numpy as np
from absl.testing import parameterized

from tests.analysis.moments import GivenMoment, gradients, measured, sizes
from tests.core.objectives import INPUTS, LABELS, SAMPLES, ObjectiveCase, asked
from tests.core.problems import HIDDEN, Problem, mean_squares, micro_batches, objective, scalars, smooth
from tests.networks import FEATURES
from tf_fullbatch.analysis.batch_sharpness import batch_sharpness
from tf_fullbatch.analysis.measures.batch_sharpness import BatchSharpnessSettings
from tf_fullbatch.analysis.noise_interaction import curvature_of_noise, gradient_noise_interaction
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.errors import UserError


def problem_of(name: str) -> Problem:
    """The same at each call, layers that draw their own seeds among them."""
    keras.utils.set_random_seed(0)
    return smooth(*HIDDEN[name]())


@functools.cache
def dense(name: str) -> tuple[np.ndarray, np.ndarray]:
    """(gradients `[micro-batches, parameters]`, their dense Hessians) of micro-batches of 8 samples."""
    problem = problem_of(name)
    parts = micro_batches(INPUTS, LABELS, 8)
    return gradients(problem, 8), np.stack([problem.hessian(part, scalars()) for part in parts])


def jackknifed(statistic, *arrays: np.ndarray) -> float:
    k = len(arrays[0])
    without = [statistic(*(np.delete(array, b) for array in arrays)) for b in range(k)]
    return np.sqrt((k - 1) / k * np.sum((without - np.mean(without)) ** 2))


def mean_of(ghg: np.ndarray, gg: np.ndarray, n: np.ndarray) -> float:
    return np.average(ghg / gg, weights=n)


def ratio_of(ghg: np.ndarray, gg: np.ndarray, n: np.ndarray) -> float:
    return np.average(ghg, weights=n) / np.average(gg, weights=n)


def quadratic() -> Problem:
    keras.utils.set_random_seed(0)
    layers = [keras.Input((FEATURES,)), keras.layers.Dense(1, use_bias=False)]
    return Problem(keras.Sequential(layers), sample_loss=mean_squares)


def of_squares(problem: Problem, inputs: np.ndarray) -> Objective:
    return objective(problem, inputs, np.zeros((len(inputs), 1)), micro_batch_size=4)


class BatchSharpnessTest(ObjectiveCase):
    @parameterized.parameters("batch norm", "regularizers")
    def test_is_that_of_dense_hessians(self, name: str) -> None:
        found, n = batch_sharpness(asked(problem_of(name))), sizes(8)
        each, hessians = dense(name)
        ghg, gg = np.einsum("bi,bij,bj->b", each, hessians, each), np.sum(each**2, axis=1)
        self.assertAllClose(found.of_batches, mean_of(ghg, gg, n), rtol=1e-11, atol=0)
        self.assertAllClose(found.ratio, ratio_of(ghg, gg, n), rtol=1e-11, atol=0)
        error = jackknifed(mean_of, ghg, gg, n)
        self.assertAllClose(found.of_batches_standard_error, error, rtol=1e-10, atol=0)
        self.assertAllClose(found.ratio_standard_error, jackknifed(ratio_of, ghg, gg, n), rtol=1e-10, atol=0)
        g, whole = n @ each / SAMPLES, np.average(hessians, axis=0, weights=n)
        self.assertAllClose(found.of_the_set, g @ whole @ g / (g @ g), rtol=1e-11, atol=0)
        self.assertGreater(abs(found.of_batches - found.of_the_set), 1e-3 * abs(found.of_batches))

    def test_of_one_micro_batch_is_that_of_the_set(self) -> None:
        found = batch_sharpness(asked(smooth(), SAMPLES))
        self.assertAllClose(found.of_batches, found.of_the_set, rtol=1e-12, atol=0)
        self.assertAllClose(found.ratio, found.of_the_set, rtol=1e-12, atol=0)
        self.assertAllEqual(
            np.isnan([found.of_batches_standard_error, found.ratio_standard_error]), [True] * 2
        )

    def test_micro_batches_at_their_minimum_are_left_out(self) -> None:
        # (w x)^2, and samples of zeros in the first micro-batch: neither gradient nor curvature there.
        problem = quadratic()
        inputs = INPUTS[:12].copy()
        inputs[:4] = 0
        found = batch_sharpness(of_squares(problem, inputs))
        w = problem.theta[0].numpy()[:, 0]
        hessians = [2 * part.T @ part / 4 for part in np.split(inputs, 3)[1:]]
        each = [(w @ h @ h @ h @ w) / (w @ h @ h @ w) for h in hessians]
        self.assertAllClose(found.of_batches, np.mean(each), rtol=1e-12, atol=0)
        nothing = batch_sharpness(of_squares(problem, np.zeros_like(inputs)))
        self.assertTrue(all(np.isnan(value) for value in nothing))

    def test_costs(self) -> None:
        found = asked(smooth())
        gradient = found.value_and_gradient().gradient
        whole = batch_sharpness(found)
        self.assertEqual(found.evaluations, 1 + 5)
        self.assertEqual(batch_sharpness(found, gradient=gradient), whole)
        self.assertEqual(found.evaluations, 1 + 5 + 4)


class NoiseInteractionTest(ObjectiveCase):
    def test_of_all_signs_is_that_of_the_dense_hessian(self) -> None:
        found, n = asked(problem_of("batch norm")), sizes(8)
        each, hessians = dense("batch norm")
        g, whole = n @ each / SAMPLES, np.average(hessians, axis=0, weights=n)
        gradient = found.value_and_gradient().gradient
        signs = [(1.0, *rest) for rest in itertools.product((-1.0, 1.0), repeat=len(n) - 1)]
        parts = [curvature_of_noise(found, found.theta(), gradient, np.array(row)) for row in signs]
        expected = np.average(np.sum((each - g) * ((each - g) @ whole), axis=1), weights=n)
        self.assertGreater(np.std(parts), 1e-3 * abs(expected))
        self.assertAllClose(np.mean(parts), expected, rtol=1e-11, atol=0)
        value, error = gradient_noise_interaction(found, gradient=gradient, probes=24, seed=5)
        exact = np.average(np.sum(each * (each @ whole), axis=1), weights=n) / (g @ g)
        self.assertLess(abs(value - exact), 4 * error)
        self.assertLess(error, 0.5 * abs(exact))
        self.assertEqual((value, error), gradient_noise_interaction(found, probes=24, seed=5))

    def test_costs_and_refusals(self) -> None:
        found = asked(smooth())
        gradient_noise_interaction(found, probes=2)
        self.assertEqual(found.evaluations, 1 + 2 + 2 * 3)
        with self.assertRaisesRegex(UserError, "probes=0: give at least 1"):
            gradient_noise_interaction(found, probes=0)
        with self.assertRaisesRegex(UserError, "the set is 1 micro-batch"):
            gradient_noise_interaction(asked(smooth(), SAMPLES))


class MeasureTest(ObjectiveCase):
    def test_gives_what_the_functions_give(self) -> None:
        settings, moment = BatchSharpnessSettings(noise_interaction_probes=2), GivenMoment(smooth())
        found, expected = measured(settings.build(), moment), batch_sharpness(moment.objective)
        self.assertEqual(found["batch_sharpness", ""], expected.of_batches)
        self.assertEqual(found["batch_sharpness_ratio", ""], expected.ratio)
        self.assertEqual(found["gradient_sharpness", ""], expected.of_the_set)
        errors = expected.of_batches_standard_error, expected.ratio_standard_error
        self.assertEqual(found["batch_sharpness_standard_error", ""], errors[0])
        self.assertEqual(found["batch_sharpness_ratio_standard_error", ""], errors[1])
        self.assertEqual({quantity for quantity, _ in found}, set(settings.quantities))
        value, error = gradient_noise_interaction(moment.objective, probes=2, seed=moment.seed)
        self.assertEqual(found["gradient_noise_interaction", ""], value)
        self.assertEqual(found["gradient_noise_interaction_standard_error", ""], error)
        self.assertLen(measured(BatchSharpnessSettings().build(), moment), 5)
