"""What is drawn of an arm: exact bins, the mean over completed seeds, others apart."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

from tests.report.made_runs import BASE, CLIPPED, SGD, write_run
from tf_fullbatch.report.loading import load
from tf_fullbatch.report.series import ArmSeries, bin_means, bin_starts


class BinsTest(unittest.TestCase):
    def test_few_steps_are_kept_apart(self):
        np.testing.assert_array_equal(bin_starts(5, 200), np.arange(5))
        self.assertEqual(len(bin_starts(0, 200)), 0)

    def test_many_steps_make_about_as_many_bins_as_asked_for(self):
        for count in (201, 3000, 117_300, 2_000_000):
            starts = bin_starts(count, 200)
            lengths = np.diff(np.append(starts, count))
            self.assertEqual(starts[0], 0)
            self.assertGreater(lengths.min(), 0)
            self.assertTrue(60 <= len(starts) <= 230, (count, len(starts)))
            self.assertLessEqual(lengths.max(), 2 * count / 200 * 1.5 + 1)
            self.assertTrue(np.all(lengths[:10] == 1))

    def test_means_leave_out_what_was_not_measured(self):
        values = np.array([1.0, np.nan, np.inf, np.nan, *[np.nan] * 997])
        means = bin_means(values, 10)
        np.testing.assert_array_equal(means[:4], [1.0, np.nan, np.nan, np.nan])
        pair = np.tile([1.0, np.nan, 3.0, np.nan], 250)
        self.assertEqual(bin_means(pair, 4)[-1], 2.0)
        self.assertEqual(len(bin_means(values[:0], 10)), 0)

    def test_means_are_weighted_right(self):
        values, starts = np.random.default_rng(0).normal(size=1000), bin_starts(1000, 100)
        parts = np.split(values, starts[1:])
        means = bin_means(values, 100)
        np.testing.assert_allclose(means, [part.mean() for part in parts], rtol=1e-12)


class CurvesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def errors(self):
        return ArmSeries(load([self.folder]).arms[0]).evaluations("error")

    def steps(self, column):
        return ArmSeries(load([self.folder]).arms[0]).steps(column)

    def test_mean_and_range_over_completed_seeds(self):
        for seed, accuracy in enumerate((0.9, 0.8, 0.4)):
            write_run(self.folder / f"seed-{seed}", BASE.replacing(seed=seed), accuracy)
        (curve,) = self.errors()
        np.testing.assert_allclose(curve.points["mean"], np.full(4, 30.0))
        np.testing.assert_allclose(curve.points["low"], np.full(4, 10.0))
        np.testing.assert_allclose(curve.points["high"], np.full(4, 60.0))

    def test_equal_compute(self):
        write_run(self.folder / "a", CLIPPED, 0.9)
        (curve,) = self.errors()
        np.testing.assert_allclose(curve.points["passes"], [1, 2, 3, 4])
        np.testing.assert_allclose(curve.points["gradient_evaluations"], [128, 256, 384, 512])
        np.testing.assert_allclose(curve.points["seconds"], [0.5, 1.0, 1.5, 2.0])
        (loss,) = self.steps("loss")
        np.testing.assert_allclose(loss.points["gradient_evaluations"], [128, 256, 384, 512])
        np.testing.assert_allclose(loss.points["mean"], [2, 1, 2 / 3, 0.5])

    def test_a_step_of_sgd_is_a_part_of_a_pass(self):
        write_run(self.folder / "a", SGD, 0.9)
        (loss,) = self.steps("loss")
        np.testing.assert_allclose(loss.points["passes"], np.arange(1, 17) / 4)
        np.testing.assert_allclose(loss.points["gradient_evaluations"], 16 * np.arange(1, 17))

    def test_training_loss_is_that_of_the_pass_before_an_evaluation(self):
        write_run(self.folder / "a", SGD, 0.9)  # the loss of step k is 2 / k, four steps per pass
        (error,) = self.errors()
        passes = (2 / np.arange(1, 17)).reshape(4, 4).mean(1)
        np.testing.assert_allclose(error.points["training_loss"], passes)
        (norms,) = self.steps("gradient_norm")
        np.testing.assert_allclose(norms.points["training_loss"], 2 / np.arange(1, 17))

    def test_seeds_are_averaged_where_all_were_measured(self):
        write_run(self.folder / "seed-0", BASE, 0.9)
        run = write_run(self.folder / "seed-1", BASE.replacing(seed=1), 0.8)
        lines = run.evaluations.read_text().splitlines(keepends=True)
        run.evaluations.write_text(lines[0] + lines[-1])
        (curve,) = self.errors()
        np.testing.assert_allclose(curve.points["passes"], [4])
        np.testing.assert_allclose(
            (curve.points["mean"], curve.points["low"], curve.points["high"]), [[15], [10], [20]]
        )

    def test_runs_that_are_not_completed_stand_apart(self):
        write_run(self.folder / "seed-0", BASE, 0.9)
        write_run(self.folder / "seed-1", BASE.replacing(seed=1), 0.5, passes=2, outcome="NON_FINITE")
        write_run(self.folder / "seed-2", BASE.replacing(seed=2), 0.5, passes=0, outcome=None)
        completed, other = self.errors()
        self.assertEqual((completed.completed, len(completed.points["mean"])), (True, 4))
        self.assertEqual((other.completed, len(other.points["mean"])), (False, 2))
        np.testing.assert_allclose(completed.points["mean"], np.full(4, 10.0))
