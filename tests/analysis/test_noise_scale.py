"""The noise scale: its identity and unbiasedness on vectors, and networks against micro-batches one by one."""

import itertools

import numpy as np
from absl.testing import parameterized

from tests.analysis.moments import GivenMoment, gradients, measured, sizes
from tests.core.objectives import INPUTS, LABELS, SAMPLES, ObjectiveCase, asked
from tests.core.problems import HIDDEN, flat, micro_batches, objective, scalars, smooth
from tf_fullbatch.analysis.measures.noise_scale import NoiseScaleSettings
from tf_fullbatch.analysis.noise_scale import NoiseScale, noise_scale, noise_scale_of
from tf_fullbatch.analysis.partition import micro_batch_sizes
from tf_fullbatch.errors import UserError

VECTORS = np.random.default_rng(0).normal(size=(60, 5)) + 0.3


def of_partitions(vectors: np.ndarray, orders: np.ndarray, blocks: list[int]) -> NoiseScale:
    """Of vectors in many orders `[orders, vectors]`, cut into blocks of these sizes."""
    cut = np.add.reduceat(vectors[orders], np.cumsum([0, *blocks[:-1]]), axis=1)
    means = cut / np.array(blocks)[:, None]
    mean_squared_norm = (np.sum(means**2, axis=-1) * blocks).sum(1) / len(vectors)
    return noise_scale_of(mean_squared_norm, np.sum(vectors.mean(0) ** 2), len(vectors), len(blocks))


def trace(vectors: np.ndarray) -> float:
    return np.trace(np.cov(vectors.T, ddof=1))


class VectorsTest(ObjectiveCase):
    def test_is_mccandlish_and_the_spread_of_micro_batches(self) -> None:
        b, n, k = 10, 60, 6
        means = VECTORS.reshape(k, b, 5).mean(1)
        g = VECTORS.mean(0)
        big, small = g @ g, np.mean(np.sum(means**2, axis=1))
        found = noise_scale_of(small, big, n, k)
        of_means, signal = found.covariance_trace, found.squared_signal
        self.assertAllClose(of_means, (small - big) / (1 / b - 1 / n), rtol=1e-12, atol=0)
        self.assertAllClose(of_means, b * np.sum((means - g) ** 2) / (k - 1), rtol=1e-12, atol=0)
        self.assertAllClose(signal, (n * big - b * small) / (n - b), rtol=1e-12, atol=0)
        self.assertAllClose(found.simple, of_means / signal, rtol=1e-15, atol=0)
        self.assertAllClose(found.of_the_set, of_means / big, rtol=1e-15, atol=0)

    @parameterized.parameters(([10] * 6,), ([16, 16, 16, 12],), ([25, 25, 10],))
    def test_is_unbiased_over_random_partitions_ragged_or_not(self, blocks: list[int]) -> None:
        orders = np.random.default_rng(1).permuted(np.tile(np.arange(60), (20000, 1)), axis=1)
        found = of_partitions(VECTORS, orders, blocks)
        standard_error = found.covariance_trace.std() / np.sqrt(20000)
        self.assertLess(standard_error, 0.004 * trace(VECTORS))
        self.assertAllClose(found.covariance_trace.mean(), trace(VECTORS), rtol=0, atol=3 * standard_error)
        if len(blocks) == 6:
            self.assertAllClose(found.covariance_trace.mean(), trace(VECTORS), rtol=0.005, atol=0)

    def test_is_exactly_unbiased_over_all_partitions(self) -> None:
        vectors, blocks = VECTORS[:5], [2, 2, 1]
        orders = np.array(list(itertools.permutations(range(5))))
        found = of_partitions(vectors, orders, blocks)
        self.assertAllClose(found.covariance_trace.mean(), trace(vectors), rtol=1e-12, atol=0)
        expected = np.sum(vectors.mean(0) ** 2) - trace(vectors) / 5
        self.assertAllClose(found.squared_signal.mean(), expected, rtol=1e-12, atol=0)

    def test_steps_are_averaged_before_the_division(self) -> None:
        found = noise_scale_of(np.array([3.0, 5.0]), np.array([2.0, 1.0]), 60, 6)
        self.assertAllEqual(found.covariance_trace, [12.0, 48.0])
        self.assertAllClose(found.squared_signal, [1.8, 0.2], rtol=1e-14)
        self.assertAllClose(found.averaged(), 30.0, rtol=1e-14)
        self.assertAllClose(found.simple, [12 / 1.8, 240.0], rtol=1e-13)

    def test_without_a_signal_there_is_no_scale(self) -> None:
        found = noise_scale_of(np.array([7.0, 7.0]), np.array([1.0, 5.0]), 60, 6)
        self.assertAllEqual(np.isnan(found.simple), [True, False])
        self.assertAllClose(found.of_the_set, [72.0, 4.8], rtol=1e-14)


class NetworksTest(ObjectiveCase):
    @parameterized.parameters(("dense", 8), ("batch norm", 4), ("dropout", 4), ("regularizers", 8))
    def test_is_that_of_the_micro_batches_training_takes(self, name: str, size: int) -> None:
        problem = smooth(*HIDDEN[name]())
        found, each, n = noise_scale(asked(problem, size)), gradients(problem, size), sizes(size)
        g = n @ each / SAMPLES
        expected = n @ np.sum((each - g) ** 2, axis=1) / (len(n) - 1)
        self.assertAllClose(found.covariance_trace, expected, rtol=1e-12, atol=0)
        self.assertAllClose(found.squared_signal, g @ g - expected / SAMPLES, rtol=1e-11, atol=0)

    def test_of_single_samples_is_the_trace_of_their_covariance(self) -> None:
        problem = smooth()
        found = noise_scale(asked(problem, 1))
        self.assertAllClose(found.covariance_trace, trace(gradients(problem, 1)), rtol=1e-12, atol=0)

    def test_sample_weights_are_part_of_the_losses(self) -> None:
        problem, weights = smooth(), np.random.default_rng(2).uniform(0.2, 3.0, SAMPLES)
        found = noise_scale(objective(problem, INPUTS, LABELS, micro_batch_size=4, sample_weight=weights))
        parts = micro_batches(INPUTS, LABELS, 1)
        of_samples = np.stack([flat(problem.gradient(part, scalars()).gradient) for part in parts])
        weighted, n = weights[:, None] * of_samples, sizes()
        each = np.stack([part.mean(0) for part in np.split(weighted, np.cumsum(n)[:-1])])
        expected = n @ np.sum((each - weighted.mean(0)) ** 2, axis=1) / (len(n) - 1)
        self.assertAllClose(found.covariance_trace, expected, rtol=1e-12, atol=0)

    def test_costs_one_evaluation_and_elsewhere(self) -> None:
        problem = smooth()
        found = asked(problem)
        there = [leaf + 0.1 for leaf in problem.theta]
        first = noise_scale(found, there)
        self.assertEqual(found.evaluations, 1)
        for variable, value in zip(problem.network.trainable_variables, there, strict=True):
            variable.assign(value)
        self.assertAllClose(first, noise_scale(found), rtol=1e-12, atol=0)

    def test_one_micro_batch_is_refused(self) -> None:
        with self.assertRaisesRegex(UserError, "the set is 1 micro-batch: .* make them smaller") as caught:
            noise_scale(asked(smooth(), SAMPLES))
        self.assertNotIn("\n", str(caught.exception))

    @parameterized.parameters(False, True)
    def test_micro_batches_are_counted(self, on_device: bool) -> None:
        found = asked(smooth(), 4, on_device=on_device, chunk_micro_batches=2)
        self.assertAllEqual(micro_batch_sizes(found), [4] * 5 + [3])
        self.assertEqual(found.evaluations, 0)


class MeasureTest(ObjectiveCase):
    def test_gives_what_the_function_gives(self) -> None:
        settings, moment = NoiseScaleSettings(), GivenMoment(smooth())
        measure, expected = settings.build(), noise_scale(moment.objective)
        found = measured(measure, moment)
        self.assertEqual({quantity for quantity, _ in found}, set(settings.quantities))
        self.assertTrue(np.isfinite(expected.simple))
        self.assertEqual(found["noise_scale", ""], expected.simple)
        self.assertEqual(found["noise_scale_of_the_set", ""], expected.of_the_set)
        self.assertEqual(found["gradient_covariance_trace", ""], expected.covariance_trace)
        self.assertEqual(found["squared_signal", ""], expected.squared_signal)

    def test_is_free_beside_the_gradient(self) -> None:
        moment = GivenMoment(smooth())
        moment.point()
        measured(NoiseScaleSettings().build(), moment)
        self.assertEqual(moment.objective.evaluations, 1)
