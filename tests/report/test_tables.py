"""The figures in results.csv and in the tables of the page."""

import io
import tempfile
import unittest
from pathlib import Path

import numpy as np
import pandas as pd

from tests.report.made_runs import BASE, SGD, finished_study, write_run
from tf_fullbatch.records.study_file import folder_of
from tf_fullbatch.report import tables
from tf_fullbatch.report.aggregate import aggregated
from tf_fullbatch.report.arms import Comparison, devices
from tf_fullbatch.report.differences import paired_differences
from tf_fullbatch.report.loading import load
from tf_fullbatch.report.quantities import ACCURACY
from tf_fullbatch.report.run_results import results, results_csv


def arms_table(comparison: Comparison) -> tables.Table:
    return tables.arms_table(comparison, aggregated(comparison))


class TablesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def row(self, name: str, table: tables.Table) -> dict[str, str]:
        (cells,) = [cells for cells in table.rows if cells[0] == name]
        return dict(zip(table.headers, cells, strict=True))

    def test_results_csv_has_a_line_a_run(self):
        finished_study(self.folder)
        table = pd.read_csv(io.StringIO(results_csv(load([self.folder]))))
        self.assertEqual(len(table), 9)
        line = table[(table["row"] == "clipped") & (table["seed"] == 1)].iloc[0]
        for name, value in (
            ("status", "completed"), ("test_accuracy_percent", 95.0), ("validation_accuracy_percent", 94.0),
            ("passes", 4), ("planned_passes", 4), ("steps", 4), ("samples_seen", 256),
            ("gradient_evaluations_per_sample", 2), ("gradient_evaluations", 512), ("wall_seconds", 2.0),
            ("train_loss", 0.5), ("device", "CPU, 1 replica"), ("tensorflow", "2.21.0"),
        ):  # fmt: skip
            self.assertEqual(line[name], value, name)
        self.assertEqual(table["published_accuracy_percent"].dropna().tolist(), [95.7] * 3)
        self.assertEqual(table["published_source"].dropna().unique(), ["a paper, quoted from memory"])

    def test_what_is_memorised_of_changed_labels_stands_apart(self):
        finished_study(self.folder, seeds=(0, 1))
        plain = load([self.folder])
        self.assertFalse([name for name in arms_table(plain).headers if "changed" in name])
        for seed, changed in ((0, (0.5, 0.2)), (1, (0.7, 0.1))):
            run = folder_of(self.folder, "fb", seed)
            for path in (run.metrics, run.evaluations):
                path.unlink()
            write_run(run, BASE.replacing(seed=seed), 0.75, validation=0.74, changed=changed)
        noisy = load([self.folder])
        cells = self.row("fb", arms_table(noisy))
        self.assertEqual(cells["changed labels, fitted as changed %"], "60.00 ± 14.14")
        self.assertEqual(cells["as they were %"], "15.00 ± 7.07")
        self.assertEqual(self.row("sgd", arms_table(noisy))["as they were %"], "-")
        line = results(noisy).set_index(["row", "seed"]).loc[("fb", 1)]
        self.assertEqual(line["noisy_labels_accuracy_percent"], 70)
        self.assertEqual(line["clean_labels_accuracy_percent"], 10)

    def test_results_csv_without_a_single_figure(self):
        finished_study(self.folder, seeds=(0,))
        for row in ("sgd", "fb", "clipped"):
            folder_of(self.folder, row, 0).config.unlink()
        text = results_csv(load([self.folder]))
        self.assertEqual(pd.read_csv(io.StringIO(text))["status"].tolist(), ["left out"] * 3)

    def test_results_csv_has_the_settings_in_which_rows_differ(self):
        finished_study(self.folder, seeds=(0,))
        table = pd.read_csv(io.StringIO(results_csv(load([self.folder]))), keep_default_na=False)
        found = dict(zip(table["row"], table["setting_batch_size"], strict=True))
        self.assertEqual(found, {"sgd": "16", "fb": "full", "clipped": "full"})
        self.assertEqual(table["setting_clip_norm"].tolist(), ["none", "none", "0.25"])
        self.assertEqual(table["highest_learning_rate"].tolist(), [0.1] * 3)

    def test_training_figures_are_of_the_last_pass(self):
        write_run(self.folder / "a", SGD, 0.9)  # the loss of step k is 2 / k, four steps a pass
        table = results(load([self.folder]))
        self.assertAlmostEqual(table["train_loss"][0], (2 / 13 + 2 / 14 + 2 / 15 + 2 / 16) / 4)
        self.assertEqual(table["train_accuracy_percent"][0], 50)
        self.assertEqual(self.row("a", arms_table(load([self.folder])))["training %"], "50.00")

    def test_numbers_beyond_all_bounds(self):
        for value in ("9" + "0" * 30, "inf", "nan"):
            run = write_run(self.folder / value, BASE, 0.9)
            run.metrics.write_text(run.metrics.read_text().replace(",256,", f",{value},"))
            table = pd.read_csv(io.StringIO(results_csv(load([run.path]))))
            expected = float(value) if value.startswith("9") else float("nan")
            np.testing.assert_equal(float(table["samples_seen"][0]), expected)

    def test_rows(self):
        finished_study(self.folder)
        table = arms_table(load([self.folder]))
        self.assertEqual(len(table.align), len(table.headers))
        row = self.row("sgd", table)
        self.assertEqual(row["test accuracy %"], "95.00 ± 1.00")
        self.assertEqual(row["each seed %"], "0: 95.00; 1: 96.00; 2: 94.00")
        self.assertEqual(row["validation %"], "94.00 ± 1.00")
        self.assertEqual(row["published %"], "95.70 ± 0.11 [1]")
        self.assertEqual(
            (row["seeds"], row["passes"], row["samples seen"], row["wall time"]),
            ("3 of 3", "4", "256", "8.0s"),
        )
        self.assertNotIn("EMA weights %", table.headers)
        clipped = self.row("clipped", table)
        self.assertEqual(
            (clipped["gradient evaluations per sample"], clipped["gradient evaluations"]), ("2", "512")
        )
        self.assertEqual(clipped["published %"], "-")

    def test_what_is_not_completed_is_shown_and_not_averaged(self):
        write_run(self.folder / "a/seed-0", BASE, 0.9, ema=0.92)
        write_run(self.folder / "a/seed-1", BASE.replacing(seed=1), 0.1, passes=2, outcome="NON_FINITE")
        write_run(self.folder / "a/seed-2", BASE.replacing(seed=2), 0.2, passes=1, outcome=None)
        row = self.row("a", arms_table(load([self.folder])))
        self.assertEqual(row["test accuracy %"], "90.00")
        self.assertEqual(row["EMA weights %"], "92.00")
        self.assertEqual(row["seeds"], "1 of 3")
        self.assertEqual(
            row["each seed %"],
            "0: 90.00; 1: 10.00 (ended early, 2 of 4 passes); 2: 20.00 (unfinished, 1 of 4 passes)",
        )

    def test_validation_figures_are_marked(self):
        write_run(self.folder / "a", BASE, None, validation=0.9)
        row = self.row("a", arms_table(load([self.folder])))
        self.assertEqual(row["test accuracy %"], "90.00 (validation)")

    def test_differences(self):
        finished_study(self.folder)
        found = load([self.folder])
        table = tables.differences_table(found, paired_differences(found))
        self.assertEqual(len(table.align), len(table.headers))
        # The clipped row has a penalty: 2 gradient evaluations for 1.
        self.assertEqual(
            table.rows[0][1:], ("3", "+19.00", "± 2.48", "1.00", "0: +18.00; 1: +19.00; 2: +20.00", "2")
        )

    def test_one_seed_has_no_mean_and_no_interval(self):
        finished_study(self.folder, seeds=(0,))
        found = load([self.folder])
        table = tables.differences_table(found, paired_differences(found))
        self.assertEqual(table.rows[1][1:], ("1", "-", "-", "-", "0: \N{MINUS SIGN}2.00", "2"))

    def test_only_settings_that_differ(self):
        finished_study(self.folder, seeds=(0,))
        table = tables.settings_table(load([self.folder]))
        self.assertEqual(
            table.headers, ("arm", "penalty", "penalty_strength", "clip_norm", "batch_size", "shuffle")
        )
        self.assertEqual(table.rows[1], ("fb", "none", "0", "none", "full", "false"))
        self.assertEqual(table.rows[2], ("clipped", "forward_differences", "0.5", "0.25", "full", "false"))

    def test_settings_that_all_rows_share(self):
        finished_study(self.folder, seeds=(0,))
        self.assertEqual(
            tables.shared_settings(load([self.folder])),
            "--dataset=digits --train_size=64 --model=resnet8 --micro_batch_size=16 --learning_rate=0.1 "
            "--schedule=published --schedule_epochs=4 --epochs=4",
        )

    def test_devices_and_signs(self):
        write_run(self.folder / "a", BASE, 0.9)
        write_run(self.folder / "b", SGD, 0.9, device="2 x GPU")
        self.assertEqual(devices(load([self.folder]).runs), ["CPU, 1 replica", "2 x GPU"])
        self.assertEqual(self.row("b", arms_table(load([self.folder])))["device"], "2 x GPU")
        self.assertNotIn("device", arms_table(load([self.folder / "b"])).headers)
        self.assertEqual(
            [ACCURACY.signed(v) for v in (1.0, -0.004, -1.255)], ["+1.00", "0.00", "\N{MINUS SIGN}1.25"]
        )
