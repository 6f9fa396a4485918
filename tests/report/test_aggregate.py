"""The figures per arm: one source for every table and sentence."""

import io
import math
import tempfile
import unittest
from pathlib import Path

import numpy as np
import pandas as pd

from tests.report.made_runs import BASE, CLIPPED, SGD, finished_study, write_run
from tf_fullbatch.report import latex, tables
from tf_fullbatch.report.aggregate import aggregated, aggregated_csv
from tf_fullbatch.report.differences import paired_differences
from tf_fullbatch.report.loading import load
from tf_fullbatch.report.quantities import ACCURACY, LOSS
from tf_fullbatch.report.run_results import results


class AggregateTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def csv(self) -> pd.DataFrame:
        found = load([self.folder])
        text = aggregated_csv(aggregated(found), tables.settings_of_arms(found))
        return pd.read_csv(io.StringIO(text), keep_default_na=False).set_index("arm")

    def test_mean_deviation_number_costs_and_settings(self):
        finished_study(self.folder)
        line = self.csv().loc["clipped"]
        for name, value in (
            ("test_accuracy_percent_mean", 94), ("test_accuracy_percent_std", 1), ("test_accuracy_percent_n", 3),
            ("validation_accuracy_percent_mean", 93), ("train_accuracy_percent_mean", 50), ("test_loss_mean", 0.5),
            ("runs", 3), ("passes", 4), ("gradient_evaluations_mean", 512), ("wall_seconds_mean", 2),
        ):  # fmt: skip
            self.assertAlmostEqual(float(line[name]), value, places=9, msg=name)
        self.assertEqual(
            (line["losses_are"], line["compared_by"], line["setting_clip_norm"]),
            ("objective", "accuracy", "0.25"),
        )
        self.assertNotIn("test_accuracy_percent_ema_weights_mean", line.index)

    def test_all_tables_say_the_same_numbers(self):
        rng = np.random.default_rng(0)
        for seed in range(4):
            accuracy, loss = rng.uniform(0.8, 0.9), rng.uniform(0.3, 0.4, 1)
            write_run(self.folder / f"a/seed-{seed}", BASE.replacing(seed=seed), accuracy, losses=loss)
        found = load([self.folder])
        table = aggregated(found)
        text = tables.arms_table(found, table)
        row = dict(zip(text.headers, text.rows[0], strict=True))
        runs = results(found)
        for quantity, cell, column in (
            (ACCURACY, "test accuracy %", "test_accuracy_percent"), (LOSS, "test objective", "test_loss"),
        ):  # fmt: skip
            mean, spread = runs[column].mean(), runs[column].std()
            self.assertEqual(row[cell], quantity.text(mean, spread))
            self.assertAlmostEqual(table[f"{column}_mean"][0], mean, places=6)
            self.assertAlmostEqual(table[f"{column}_std"][0], spread, places=6)
            self.assertIn(row[cell].replace(" ± ", r" & ${}\pm{}$"), latex.arms_table(found, text))

    def test_cross_entropies_where_they_are_recorded(self):
        write_run(self.folder / "a", BASE, 0.9, cross_entropy=0.125)
        write_run(self.folder / "b", SGD, 0.9)
        table = self.csv()
        self.assertEqual(list(table["losses_are"]), ["cross_entropy", "objective"])
        self.assertEqual([float(loss) for loss in table["test_loss_mean"]], [0.375, 0.5])
        found = load([self.folder])
        self.assertIn(
            "test cross-entropy (nats) or objective", tables.arms_table(found, aggregated(found)).headers
        )

    def test_runs_without_accuracies_are_compared_by_their_loss(self):
        for seed, losses in enumerate(([0.3], [0.5])):
            write_run(self.folder / f"a/seed-{seed}", BASE.replacing(seed=seed), None, losses=losses)
            write_run(self.folder / f"b/seed-{seed}", CLIPPED.replacing(seed=seed), None, losses=[0.7])
        found = load([self.folder])
        self.assertEqual(found.quantities, (LOSS,))
        table = tables.arms_table(found, aggregated(found))
        self.assertEqual(table.rows[0][:4], ("a", "2 of 2", "0.40 ± 0.14", "0: 0.3000; 1: 0.5000"))
        (pair,) = paired_differences(found)
        self.assertEqual((pair.first, pair.quantity), ("b", LOSS))
        self.assertEqual(
            tables.differences_table(found, [pair]).rows[0][:3], ("b \u2212 a (loss)", "2", "+0.30")
        )

    def test_arms_of_both_kinds(self):
        write_run(self.folder / "a", BASE, 0.9)
        write_run(self.folder / "b", SGD, None, losses=[0.3])
        found = load([self.folder])
        self.assertEqual(found.quantities, (ACCURACY, LOSS))
        self.assertEqual(
            [[arm.name for arm in found.compared_by(q)] for q in found.quantities], [["a"], ["b"]]
        )
        self.assertEqual(tables.arms_table(found, aggregated(found)).rows[1][2], "-")

    def test_what_is_not_finite_is_no_figure(self):
        for seed, last in enumerate((0.3, math.inf)):
            write_run(self.folder / f"a/seed-{seed}", BASE.replacing(seed=seed), None, losses=[0.5, last])
        found = load([self.folder])
        self.assertEqual(found.arms[0].figures(), {0: 0.3})
        self.assertEqual(found.missing(), ["a, seed 1: its last test loss is not finite"])
