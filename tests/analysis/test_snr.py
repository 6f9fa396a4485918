"""SNR and GSNR over micro-batches, and their jackknife, against gradients one by one and recomputed leave-one-outs."""

import keras
import numpy as np
from absl.testing import parameterized

from tests.analysis.moments import GivenMoment, gradients, measured, sizes
from tests.core.objectives import INPUTS, LABELS, SAMPLES, ObjectiveCase, asked
from tests.core.problems import HIDDEN, Problem, cross_entropy, objective, smooth
from tests.networks import CLASSES, FEATURES
from tf_fullbatch.analysis import jackknife
from tf_fullbatch.analysis.measures.snr import SnrSettings
from tf_fullbatch.analysis.noise_scale import noise_scale
from tf_fullbatch.analysis.snr import signal_to_noise
from tf_fullbatch.core.training_loss import OutputLoss, TrainingLoss
from tf_fullbatch.errors import UserError


def moments(each: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, variance with K - 1) of each parameter's gradient."""
    k = len(each)
    mean = np.average(each, axis=0, weights=weights)
    return mean, k / (k - 1) * np.average((each - mean) ** 2, axis=0, weights=weights)


def snr_of(each: np.ndarray, weights: np.ndarray) -> float:
    mean, variance = moments(each, weights)
    return np.linalg.norm(mean) / np.linalg.norm(np.sqrt(variance))


def gsnr_of(each: np.ndarray, weights: np.ndarray) -> float:
    mean, variance = moments(each, weights)
    return np.mean(mean**2 / variance)


def jackknifed(statistic, each: np.ndarray, weights: np.ndarray) -> float:
    """Computed anew without each micro-batch."""
    k = len(each)
    without = [statistic(np.delete(each, b, 0), np.delete(weights, b)) for b in range(k)]
    return np.sqrt((k - 1) / k * np.sum((without - np.mean(without)) ** 2))


class JackknifeTest(ObjectiveCase):
    def test_of_a_mean_is_the_standard_error_of_the_mean(self) -> None:
        values = np.random.default_rng(0).normal(size=12)
        without = jackknife.means_without_each(values, np.ones(12))
        expected = values.std(ddof=1) / np.sqrt(12)
        self.assertAllClose(jackknife.standard_error(without), expected, rtol=1e-13, atol=0)

    def test_of_weighted_means(self) -> None:
        values, weights = np.random.default_rng(1).uniform(size=(2, 7))
        found = jackknife.means_without_each(values, weights)
        expected = [np.average(np.delete(values, b), weights=np.delete(weights, b)) for b in range(7)]
        self.assertAllClose(found, expected, rtol=1e-13, atol=0)


class SignalToNoiseTest(ObjectiveCase):
    @parameterized.parameters(("dense", 4), ("batch norm", 4), ("dropout", 8), ("regularizers", 1))
    def test_is_that_of_gradients_one_by_one(self, name: str, size: int) -> None:
        problem = smooth(*HIDDEN[name]())
        each, weights = gradients(problem, size), sizes(size)
        found = signal_to_noise(asked(problem, size), gsnr_jackknife=True)
        self.assertEqual(found.noiseless, 0)
        self.assertAllClose(found.snr, snr_of(each, weights), rtol=1e-12, atol=0)
        self.assertAllClose(found.gsnr, gsnr_of(each, weights), rtol=1e-12, atol=0)
        self.assertAllClose(found.snr_standard_error, jackknifed(snr_of, each, weights), rtol=1e-11, atol=0)
        expected = jackknifed(gsnr_of, each, weights)
        self.assertAllClose(found.gsnr_standard_error, expected, rtol=1e-11, atol=0)

    def test_equal_micro_batches_have_numpys_variance(self) -> None:
        problem = smooth()
        each = gradients(problem, 1)
        found = signal_to_noise(asked(problem, 1))
        variance = each.var(axis=0, ddof=1)
        self.assertAllClose(found.snr, np.linalg.norm(each.mean(0)) / np.sqrt(variance.sum()), rtol=1e-12)
        self.assertAllClose(found.gsnr, np.mean(each.mean(0) ** 2 / variance), rtol=1e-12)

    def test_micro_batches_count_by_what_the_loss_divides_by(self) -> None:
        problem, weights = smooth(), np.random.default_rng(2).uniform(0.2, 3.0, SAMPLES)
        by_weights = OutputLoss(cross_entropy, by_weights=True)
        problem.loss.training_loss = TrainingLoss({"output": by_weights})
        found = objective(problem, INPUTS, LABELS, micro_batch_size=4, sample_weight=weights)
        of_samples, cuts = gradients(problem, 1), np.cumsum(sizes())[:-1]
        of_batches = np.split(weights, cuts)
        each = np.stack(
            [w @ part / w.sum() for w, part in zip(of_batches, np.split(of_samples, cuts), strict=True)]
        )
        totals = np.array([w.sum() for w in of_batches])
        snr = signal_to_noise(found)
        self.assertAllClose(snr.snr, snr_of(each, totals), rtol=1e-12, atol=0)
        self.assertAllClose(snr.gsnr, gsnr_of(each, totals), rtol=1e-12, atol=0)
        self.assertAllClose(snr.snr_standard_error, jackknifed(snr_of, each, totals), rtol=1e-11, atol=0)
        # The same spread, of all parameters, is what the noise scale is made of.
        _, variance = moments(each, totals)
        trace = noise_scale(found).covariance_trace
        self.assertAllClose(trace, variance.sum() * SAMPLES / len(each), rtol=1e-12, atol=0)

    def test_parameters_without_noise_are_left_out(self) -> None:
        problem = unused_weights()
        found = signal_to_noise(asked(problem, 4), gsnr_jackknife=True)
        self.assertEqual(found.noiseless, 2 * FEATURES)
        each = gradients(problem)
        noisy = moments(each, sizes())[1] > 1e-20
        self.assertEqual(noisy.sum(), each.shape[1] - 2 * FEATURES)
        self.assertAllClose(found.gsnr, gsnr_of(each[:, noisy], sizes()), rtol=1e-12, atol=0)
        expected = jackknifed(gsnr_of, each[:, noisy], sizes())
        self.assertAllClose(found.gsnr_standard_error, expected, rtol=1e-11, atol=0)

    def test_costs(self) -> None:
        found = asked(smooth())
        gradient = found.value_and_gradient().gradient
        whole = signal_to_noise(found)
        self.assertEqual(found.evaluations, 1 + 2)
        self.assertEqual(repr(signal_to_noise(found, gradient=gradient)), repr(whole))
        self.assertEqual(found.evaluations, 1 + 2 + 1)
        signal_to_noise(found, gradient=gradient, gsnr_jackknife=True)
        self.assertEqual(found.evaluations, 1 + 2 + 1 + 2)

    def test_too_few_micro_batches_are_refused(self) -> None:
        problem = smooth()
        with self.assertRaisesRegex(UserError, "the set is 1 micro-batch"):
            signal_to_noise(asked(problem, SAMPLES))
        with self.assertRaisesRegex(UserError, "needs 3 micro-batches, but there are 2"):
            signal_to_noise(asked(problem, 12), gsnr_jackknife=True)
        found = signal_to_noise(asked(problem, 12))
        self.assertAllClose(found.snr, snr_of(gradients(problem, 12), sizes(12)), rtol=1e-12, atol=0)
        self.assertTrue(np.isnan(found.snr_standard_error))


def unused_weights() -> Problem:
    """A network with weights that a regularizer alone moves, alike in all micro-batches."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((FEATURES,))
    unused = keras.layers.Dense(2, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.3))(inputs)
    outputs = keras.layers.Dense(CLASSES)(inputs) + 0 * keras.ops.sum(unused, axis=-1, keepdims=True)
    return Problem(keras.Model(inputs, outputs))


class MeasureTest(ObjectiveCase):
    @parameterized.parameters(False, True)
    def test_gives_what_the_function_gives(self, gsnr_jackknife: bool) -> None:
        settings, moment = SnrSettings(gsnr_jackknife=gsnr_jackknife), GivenMoment(smooth())
        found = measured(settings.build(), moment)
        expected = signal_to_noise(moment.objective, gsnr_jackknife=gsnr_jackknife)
        wanted = set(settings.quantities) - (set() if gsnr_jackknife else {"gsnr_standard_error"})
        self.assertEqual({quantity for quantity, _ in found}, wanted)
        self.assertEqual(found["snr", ""], expected.snr)
        self.assertEqual(found["gsnr", ""], expected.gsnr)
        self.assertEqual(found["snr_standard_error", ""], expected.snr_standard_error)
        self.assertEqual(found["noiseless_parameters", ""], 0)
        if gsnr_jackknife:
            self.assertEqual(found["gsnr_standard_error", ""], expected.gsnr_standard_error)
