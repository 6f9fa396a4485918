"""A run from its records: how far it got, and every kind of damage in one line."""

import math
import tempfile
import unittest
from pathlib import Path

import numpy as np

from tests.report.made_runs import BASE, CLIPPED, SGD, config, write_run
from tf_fullbatch.records.columns import STEP_COLUMNS
from tf_fullbatch.records.files import read_json, write_json, write_text
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.tables import TableWriter, read_table
from tf_fullbatch.report.quantities import ACCURACY
from tf_fullbatch.report.run_reading import read_run
from tf_fullbatch.report.run_records import Status


class ReadRunTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = RunFolder(Path(folder.name) / "run")

    def test_completed(self):
        write_run(self.folder, SGD.replacing(seed=7), 0.9, validation=0.8, ema=0.91)
        run = read_run(self.folder)
        self.assertEqual((run.status, run.reason, run.seed), (Status.COMPLETED, "", 7))
        self.assertAlmostEqual(run.final(ACCURACY, "test"), 90)
        self.assertAlmostEqual(run.final(ACCURACY, "validation"), 80)
        self.assertAlmostEqual(run.final(ACCURACY, "test", "ema"), 91)
        self.assertIsNone(run.final(ACCURACY, "validation", "ema"))
        self.assertEqual((run.last("step"), run.last("samples_seen")), (16, 256))

    def test_the_last_evaluation_counts_and_not_the_best(self):
        write_run(self.folder, BASE, 0.9)
        lines = self.folder.evaluations.read_text().splitlines(keepends=True)
        lines[2] = lines[2].replace(",0.9,", ",0.99,")
        write_text(self.folder.evaluations, "".join(lines))
        run = read_run(self.folder)
        self.assertAlmostEqual(run.evaluations["accuracy"].max(), 0.99)
        self.assertAlmostEqual(run.final(ACCURACY, "test"), 90)

    def test_gradient_evaluations_are_those_of_the_settings(self):
        for settings, count in (
            (BASE, 1),
            (CLIPPED, 2),
            (config(penalty="central_differences", penalty_strength=1.0), 3),
            (config(penalty="nested_tape", full_gradient_penalty_strength=1.0), 3),
        ):
            write_run(self.folder, settings, 0.9)
            self.assertEqual(read_run(self.folder).gradient_evaluations_per_sample, count)

    def test_recorded_gradient_evaluations_win_over_the_settings(self):
        write_run(self.folder, CLIPPED, 0.9)  # version 0.1.0 recorded none: 2 per sample, by the settings
        lines = [line.split(",") for line in self.folder.metrics.read_text().splitlines()]
        place = lines[0].index("gradient_evaluations")
        for number, cells in enumerate(lines[1:], start=1):
            cells[place] = "" if number == 1 else str(float(number))
        write_text(self.folder.metrics, "".join(",".join(cells) + "\n" for cells in lines))
        run = read_run(self.folder)
        np.testing.assert_array_equal(run.metrics["spent"], 64 * np.cumsum([2, 2, 3, 4]))
        self.assertEqual(run.gradient_evaluations_per_sample, 11 / 4)
        whole = ["".join(",".join(c[:place] + c[place + 1 :]) + "\n" for c in lines)]
        write_text(self.folder.metrics, whole[0])
        run = read_run(self.folder)
        np.testing.assert_array_equal(run.metrics["spent"], 128 * np.arange(1, 5))
        self.assertEqual((run.status, run.gradient_evaluations_per_sample), (Status.COMPLETED, 2))

    def test_how_far_it_got(self):
        for choices, status, reason in (
            ({"passes": 2, "outcome": None}, Status.UNFINISHED, "unfinished: 2 of 4 passes"),
            ({"passes": 2, "outcome": "INTERRUPTED"}, Status.UNFINISHED, "unfinished: 2 of 4 passes"),
            ({"passes": 2, "outcome": "COMPLETED"}, Status.UNFINISHED, "unfinished: 2 of 4 passes"),
            ({"passes": 0}, Status.NOT_STARTED, "not started: no step yet"),
            ({"outcome": None}, Status.COMPLETED, ""),
            ({"outcome": "DIVERGED"}, Status.ENDED, "loss is nan in step 9"),
            ({"passes": 2, "outcome": "NON_FINITE"}, Status.ENDED,
             "ended early: NON_FINITE after 2 of 4 passes: loss is nan in step 9"),
        ):  # fmt: skip
            with self.subTest(choices):
                write_run(self.folder, BASE, 0.9, **choices)
                run = read_run(self.folder)
                self.assertEqual((run.status, run.reason), (status, reason))
                self.folder.summary.unlink(missing_ok=True)

    def test_a_summary_from_before_a_resume_does_not_count(self):
        write_run(self.folder, BASE, 0.9, passes=2, outcome="NON_FINITE")
        summary = read_json(self.folder.summary)
        write_json(self.folder.summary, summary | {"steps": 1})
        self.assertEqual(read_run(self.folder).status, Status.UNFINISHED)

    def test_the_study_says_how_many_passes(self):
        write_run(self.folder, config(schedule_epochs=4.0), 0.9)
        longer = config(schedule_epochs=4.0, epochs=8)
        run = read_run(self.folder, 0, longer)
        self.assertEqual((run.status, run.planned_passes), (Status.UNFINISHED, 8))

    def test_all_passes_without_the_last_evaluation(self):
        write_run(self.folder, BASE, 0.9, validation=0.8, outcome=None)
        lines = self.folder.evaluations.read_text().splitlines(keepends=True)
        write_text(self.folder.evaluations, "".join(lines[:-1]))  # the test split's is missing
        run = read_run(self.folder)
        self.assertEqual(run.status, Status.UNFINISHED)
        self.assertIn("the last evaluation is missing", run.reason)

    def test_an_earlier_evaluation_is_not_the_last_whatever_the_summary_says(self):
        write_run(self.folder, BASE, 0.9)
        lines = self.folder.evaluations.read_text().splitlines(keepends=True)
        write_text(self.folder.evaluations, "".join(lines[:-1]))
        run = read_run(self.folder)
        self.assertEqual(run.status, Status.UNFINISHED)
        self.assertIn("the last evaluation is missing", run.reason)

    def test_a_completed_run_with_nothing_to_evaluate(self):
        write_run(self.folder, BASE, None)
        self.assertEqual(read_run(self.folder).status, Status.COMPLETED)

    def test_an_evaluation_that_gave_nothing_is_not_replaced_by_an_earlier_one(self):
        write_run(self.folder, BASE, 0.9)
        lines = self.folder.evaluations.read_text().splitlines()
        for value, accuracy in (("", None), ("nan", None), ("0.25", 25.0)):
            last = lines[-1].replace(",0.9,", f",{value},")
            write_text(self.folder.evaluations, "\n".join([*lines[:-1], last, ""]))
            self.assertEqual(read_run(self.folder).final(ACCURACY, "test"), accuracy)

    def test_impossible_accuracies(self):
        for value in ("2.0", "-1.0", "inf"):
            write_run(self.folder, BASE, 0.9)
            text = self.folder.evaluations.read_text()
            write_text(self.folder.evaluations, text.replace(",0.9,", f",{value},", 1))
            run = read_run(self.folder)
            self.assertEqual(run.status, Status.LEFT_OUT)
            self.assertIn(f"an accuracy of {float(value):g}", run.reason)

    def test_no_step_though_it_ended(self):
        write_run(self.folder, BASE, 0.9)
        write_text(self.folder.metrics, self.folder.metrics.read_text().splitlines()[0] + "\n")
        self.assertEqual(read_run(self.folder).status, Status.LEFT_OUT)

    def test_what_a_completed_run_lacks_is_noted(self):
        write_run(self.folder, BASE, 0.9, outcome=None)
        self.assertIn("it has no summary.json", read_run(self.folder).notes[0])
        write_run(self.folder, BASE, None)
        self.assertIn("no evaluation", read_run(self.folder).notes[0])

    def test_tables_that_are_gone(self):
        for table in (self.folder.config, self.folder.metrics, self.folder.evaluations):
            with self.subTest(table.name):
                write_run(self.folder, BASE, 0.9)
                table.unlink()
                run = read_run(self.folder)
                self.assertEqual(run.status, Status.LEFT_OUT)
                self.assertIn(f"{table.name} is missing. Restore it, or delete the run's folder", run.reason)

    def test_a_cut_last_line_is_not_damage(self):
        write_run(self.folder, BASE, 0.9, passes=3, outcome=None)
        with self.folder.metrics.open("a") as file:
            file.write("4,4.0,25")
        self.assertEqual(read_run(self.folder).last("step"), 3)

    def test_numbers_are_read_as_elsewhere(self):
        columns = STEP_COLUMNS
        rows: list[dict[str, float]] = [
            {"step": 1, "epoch": 0.1, "loss": math.nan, "gradient_norm": math.inf, "penalty": 5e-324},
            {"step": 2, "epoch": 0.2, "loss": 0.1 + 0.2, "update_norm": 1 / 3, "learning_rate": -math.inf},
        ]
        write_run(self.folder, BASE, 0.9)
        with TableWriter(self.folder.metrics, columns) as metrics:
            for row in rows:
                metrics.append(row)
        found, whole = read_run(self.folder).metrics, read_table(self.folder.metrics, columns).astype(float)
        self.assertEqual([column.name for column in columns], list(whole.columns))
        for line, row in enumerate(rows):
            for column in columns:
                np.testing.assert_array_equal(row.get(column.name, np.nan), whole[column.name].iloc[line])
        for name in set(found.columns) - {"spent"}:
            np.testing.assert_array_equal(found[name], whole[name])

    def test_validation_alone_in_the_only_evaluation_may_lack_the_test(self):
        last = BASE.replacing(epochs=1, validation_size=100)
        write_run(self.folder, last, None, validation=0.9, outcome=None)
        run = read_run(self.folder)
        self.assertEqual(Status.UNFINISHED, run.status)
        self.assertIn("the last evaluation is missing", run.reason)

    def test_more_passes_than_the_study_says(self):
        write_run(self.folder, BASE, 0.9)
        run = read_run(self.folder, 0, BASE.replacing(epochs=3, schedule_epochs=4))
        self.assertEqual(
            (Status.LEFT_OUT, "the run has 4 passes, its study says 3"), (run.status, run.reason)
        )

    def test_failed_at_its_start(self):
        self.folder.log.write_text("starting\nerror: --train_size=9: too few\n")
        run = read_run(self.folder, 0)
        self.assertEqual(Status.NOT_STARTED, run.status)
        self.assertEqual("failed at its start: --train_size=9: too few", run.reason)

    def test_no_folder(self):
        run = read_run(RunFolder("/no/such/folder"), seed=3)
        self.assertEqual((run.status, run.seed, run.started), (Status.NOT_STARTED, 3, False))
        self.assertTrue(math.isnan(run.last("loss")))

    def test_damage_is_one_line(self):
        def half(path: Path) -> None:
            text = path.read_text()
            write_text(path, text[: len(text) // 2])

        damages = (
            (lambda: half(self.folder.config), "config.json is damaged or of another version"),
            (lambda: write_json(self.folder.config, {"data": {}}), "a configuration has the groups"),
            (lambda: write_text(self.folder.metrics, "step,loss\n1,2\n"), "of its columns it lacks epoch, "),
            (lambda: write_text(self.folder.metrics, self.folder.metrics.read_text() + "x,y\n"), "line 6 is damaged"),
            (lambda: write_text(self.folder.evaluations, "\n"), "damaged or of another version"),
            (lambda: (self.folder.evaluations.unlink(), self.folder.evaluations.mkdir()), "cannot read"),
        )  # fmt: skip
        for number, (damage, reason) in enumerate(damages):
            with self.subTest(reason):
                self.folder = write_run(self.folder.path.with_name(f"run{number}"), BASE, 0.9)
                damage()
                run = read_run(self.folder)
                self.assertEqual(run.status, Status.LEFT_OUT)
                self.assertIn(reason, run.reason)
                self.assertNotIn("\n", run.reason)

    def test_damaged_summary_is_a_note(self):
        for content, note in (
            ("{", "not valid JSON"),
            ("[]", "format version None"),
            ('{"format_version": 9}', "format version 9, this tf_fullbatch reads 1"),
            ('{"format_version": 1, "outcome": 3}', "summary.json is damaged"),
        ):
            with self.subTest(content):
                write_run(self.folder, BASE, 0.9)
                write_text(self.folder.summary, content)
                run = read_run(self.folder)
                self.assertEqual(run.status, Status.COMPLETED)
                self.assertIn(note, run.notes[0])

    def test_other_settings_than_the_study_says(self):
        write_run(self.folder, BASE.replacing(seed=2), 0.9)
        self.assertEqual(read_run(self.folder, 2, BASE).status, Status.COMPLETED)
        run = read_run(self.folder, 1, BASE)
        self.assertEqual(run.status, Status.LEFT_OUT)
        self.assertIn("--seed: 1 in the study, 2 in the run", run.reason)
