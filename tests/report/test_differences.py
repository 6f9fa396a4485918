"""Differences are taken seed by seed, over the seeds both rows have completed."""

import tempfile
import unittest
from pathlib import Path

from tests.report.made_runs import BASE, SGD, finished_study, write_run
from tf_fullbatch.report.differences import interval_in_words, paired_differences
from tf_fullbatch.report.loading import load
from tf_fullbatch.report.tables import differences_table
from tf_fullbatch.report.wording import results_notes


class DifferencesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_three_seeds(self):
        finished_study(self.folder)
        to_baseline, to_sgd = paired_differences(load([self.folder]))
        self.assertEqual((to_baseline.first, to_baseline.second), ("clipped", "fb"))
        # 93 - 75, 95 - 76, 94 - 74: mean 19, standard deviation 1.
        self.assertEqual([round(value, 6) for value in to_baseline.differences.values()], [18, 19, 20])
        self.assertAlmostEqual(to_baseline.interval.mean, 19)
        self.assertAlmostEqual(to_baseline.interval.half_width, 2.484, delta=1e-3)
        self.assertEqual([round(value, 6) for value in to_sgd.differences.values()], [-2, -1, 0])

    def test_only_seeds_completed_in_both(self):
        for seed in (0, 1, 2):
            write_run(self.folder / f"a/seed-{seed}", BASE.replacing(seed=seed), 0.5 + 0.1 * seed)
        write_run(self.folder / "b/seed-1", SGD.replacing(seed=1), 0.7)
        write_run(self.folder / "b/seed-2", SGD.replacing(seed=2), 0.1, passes=1, outcome=None)
        (pair,) = paired_differences(load([self.folder]))
        self.assertEqual([(s, round(v, 6)) for s, v in pair.differences.items()], [(1, 10.0)])
        self.assertIsNone(pair.interval.half_width)

    def test_test_and_validation_figures_are_never_subtracted(self):
        write_run(self.folder / "a", BASE, 0.5, validation=0.6)
        write_run(self.folder / "b", SGD, None, validation=0.9)
        (pair,) = paired_differences(load([self.folder]))
        self.assertEqual(pair.split, "validation")
        self.assertAlmostEqual(pair.differences[0], 30)

    def test_no_shared_seed(self):
        write_run(self.folder / "a", BASE, 0.5)
        write_run(self.folder / "b", SGD.replacing(seed=1), 0.5)
        (pair,) = paired_differences(load([self.folder]))
        self.assertEqual((pair.differences, pair.interval), ({}, None))

    def test_losses_of_other_kinds_are_never_subtracted(self):
        for name, settings in (("a", BASE), ("b", BASE.replacing(loss="keras:Huber"))):
            write_run(self.folder / name, settings, None, losses=[0.5])
        found = load([self.folder])
        (pair,) = paired_differences(found)
        self.assertEqual(({}, True), (pair.differences, pair.other_losses))
        self.assertIn("losses that do not compare", differences_table(found, [pair]).rows[0])
        self.assertRegex(
            " ".join(results_notes(found)), "No difference of b . a: these arms have different losses"
        )

    def test_cross_entropies_of_other_losses_are(self):
        for name, settings in (("a", BASE), ("b", BASE.replacing(label_smoothing=0.1))):
            write_run(self.folder / name, settings, None, losses=[0.5], cross_entropy=0.1)
        (pair,) = paired_differences(load([self.folder]))
        self.assertEqual(({0: 0.0}, False), (pair.differences, pair.other_losses))


class WordsTest(unittest.TestCase):
    def test_several_seeds(self):
        text = interval_in_words([3, 3, 2])
        self.assertIn("8.98 s with 2 seeds and 2.48 s with 3 seeds; 10 seeds would leave 0.72 s", text)
        self.assertNotIn("no claim", text)

    def test_one_seed(self):
        self.assertIn("One seed: points, no claim.", interval_in_words([1, 1]))
        self.assertNotIn(" s with", interval_in_words([1]))
        self.assertIn("one seed: points, no claim", interval_in_words([1, 3]))
