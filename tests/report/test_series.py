"""What is drawn of a row: exact bins, the mean over completed seeds, others apart."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

from tests.report.made_runs import BASE, CLIPPED, SGD, write_run
from tf_fullbatch.report.rows import load
from tf_fullbatch.report.series import bin_means, bin_starts, error_curves, metric_curves


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
        values = np.array([1.0, np.nan, 3.0, np.nan, np.nan])
        np.testing.assert_array_equal(bin_means(values, np.array([0, 3])), [2.0, np.nan])
        self.assertEqual(len(bin_means(np.array([]), np.array([], int))), 0)

    def test_means_are_weighted_right(self):
        values, starts = np.random.default_rng(0).normal(size=1000), bin_starts(1000, 100)
        parts = np.split(values, starts[1:])
        np.testing.assert_allclose(bin_means(values, starts), [part.mean() for part in parts], rtol=1e-12)


class CurvesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def row(self):
        return load([self.folder]).rows[0]

    def test_mean_and_range_over_completed_seeds(self):
        for seed, accuracy in enumerate((0.9, 0.8, 0.4)):
            write_run(self.folder / f"seed-{seed}", BASE.replacing(seed=seed), accuracy)
        (curve,) = error_curves(self.row())
        np.testing.assert_allclose(curve.mean, np.full(4, 30.0))
        np.testing.assert_allclose(curve.low, np.full(4, 10.0))
        np.testing.assert_allclose(curve.high, np.full(4, 60.0))

    def test_equal_compute(self):
        write_run(self.folder / "a", CLIPPED, 0.9)
        (curve,) = error_curves(self.row())
        np.testing.assert_allclose(curve.x["passes"], [1, 2, 3, 4])
        np.testing.assert_allclose(curve.x["gradient_evaluations"], [128, 256, 384, 512])
        np.testing.assert_allclose(curve.x["seconds"], [0.5, 1.0, 1.5, 2.0])
        (loss,) = metric_curves(self.row(), "loss")
        np.testing.assert_allclose(loss.x["gradient_evaluations"], [128, 256, 384, 512])
        np.testing.assert_allclose(loss.mean, [2, 1, 2 / 3, 0.5])

    def test_a_step_of_sgd_is_a_part_of_a_pass(self):
        write_run(self.folder / "a", SGD, 0.9)
        (loss,) = metric_curves(self.row(), "loss")
        np.testing.assert_allclose(loss.x["passes"], np.arange(1, 17) / 4)
        np.testing.assert_allclose(loss.x["gradient_evaluations"], 16 * np.arange(1, 17))

    def test_training_loss_is_that_of_the_pass_before_an_evaluation(self):
        write_run(self.folder / "a", SGD, 0.9)  # the loss of step k is 2 / k, four steps a pass
        (error,) = error_curves(self.row())
        passes = (2 / np.arange(1, 17)).reshape(4, 4).mean(1)
        np.testing.assert_allclose(error.x["training_loss"], passes)
        (norms,) = metric_curves(self.row(), "gradient_norm")
        np.testing.assert_allclose(norms.x["training_loss"], 2 / np.arange(1, 17))

    def test_seeds_are_averaged_where_all_were_measured(self):
        write_run(self.folder / "seed-0", BASE, 0.9)
        run = write_run(self.folder / "seed-1", BASE.replacing(seed=1), 0.8)
        lines = run.evaluations.read_text().splitlines(keepends=True)
        run.evaluations.write_text(lines[0] + lines[-1])
        (curve,) = error_curves(self.row())
        np.testing.assert_allclose(curve.x["passes"], [4])
        np.testing.assert_allclose((curve.mean, curve.low, curve.high), [[15], [10], [20]])

    def test_runs_that_are_not_completed_stand_apart(self):
        write_run(self.folder / "seed-0", BASE, 0.9)
        write_run(self.folder / "seed-1", BASE.replacing(seed=1), 0.5, passes=2, outcome="NON_FINITE")
        write_run(self.folder / "seed-2", BASE.replacing(seed=2), 0.5, passes=0, outcome=None)
        completed, other = error_curves(self.row())
        self.assertEqual((completed.completed, len(completed.mean)), (True, 4))
        self.assertEqual((other.completed, len(other.mean)), (False, 2))
        np.testing.assert_allclose(completed.mean, np.full(4, 10.0))
