"""The runs of a study: their settings, cost and progress, and whose folder it is."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

from tests.studies.studies import TINY, study, write_records
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records import checkpoints
from tf_fullbatch.records.checkpoints import save_checkpoint
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.files import write_json
from tf_fullbatch.records.study_file import Arm, Study, write_study
from tf_fullbatch.records.summary import run_summary
from tf_fullbatch.records.tables import read_table
from tf_fullbatch.studies.cost import Cost, cost_of
from tf_fullbatch.studies.planned_runs import check_study_folder, runs_of


class CostTest(unittest.TestCase):
    def test_counts(self):
        regularised = {"penalty": "central_differences", "penalty_strength": 0.5}
        whole = {"penalty": "nested_tape", "full_gradient_penalty_strength": 1.0}
        for settings, expected in (
            ({}, Cost(4, 64, 1)),
            (regularised, Cost(4, 64, 3)),
            (whole, Cost(4, 64, 3)),
            ({"train_size": None}, Cost(4, 1347, 1)),
            ({"train_size": None, "validation_size": 147}, Cost(4, 1200, 1)),
        ):
            with self.subTest(settings):
                self.assertEqual(expected, cost_of(TINY.replacing(**settings)))

    def test_totals(self):
        self.assertEqual((256, 768), (Cost(4, 64, 3).samples, Cost(4, 64, 3).total))
        self.assertEqual((None, None), (Cost(4, None, 3).samples, Cost(4, None, 3).total))


class RunsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "study"

    def test_seed_by_seed(self):
        runs = runs_of(study("a", "b", seeds=(5, 3)), self.folder)
        self.assertEqual(["a, seed 5", "b, seed 5", "a, seed 3", "b, seed 3"], list(map(str, runs)))
        self.assertEqual([5, 5, 3, 3], [run.config.step.seed for run in runs])
        self.assertEqual(str(self.folder / "b" / "seed-3"), runs[3].config.runtime.output_dir)
        self.assertEqual(self.folder / "b" / "seed-3.log", runs[3].log)
        self.assertEqual(0.2, runs[3].config.optimizer.learning_rate)
        self.assertEqual({("seed", "learning_rate")}, {run.config.runtime.hparams for run in runs})

    def test_fraction(self):
        run = runs_of(study("a"), self.folder)[0]
        self.assertEqual(0.0, run.fraction())
        write_records(run, epochs=3)
        self.assertEqual(0.75, run.fraction())
        with run.folder.metrics.open("a") as file:
            file.write("4,4.0,256")  # a row that is being written
        self.assertEqual(0.75, run.fraction())
        run.folder.metrics.write_text("step,epoch\n")
        self.assertEqual(0.0, run.fraction())

    def test_what_is_not_finished(self):
        run = runs_of(study("a"), self.folder)[0]
        self.assertFalse(run.is_finished())
        write_records(run, epochs=4)  # without a checkpoint
        self.assertFalse(run.is_finished())
        run.folder.summary.write_text("{")
        self.assertFalse(run.is_finished())

    def test_finished_without_reading_the_arrays_of_its_checkpoint(self):
        run = runs_of(study("a"), self.folder)[0]
        write_records(run, epochs=4)
        run.folder.write_config(run.config, {})
        for path in (run.folder.model, run.folder.curves):
            path.touch()
        summary = run_summary(
            outcome=Outcome.COMPLETED,
            metrics=read_table(run.folder.metrics, STEP_COLUMNS),
            evaluations=read_table(run.folder.evaluations, EVALUATION_COLUMNS),
            output_dir=run.folder.path,
            device="CPU",
        )
        write_json(run.folder.summary, summary)
        arrays = {"weights": np.zeros(3)}
        saved = save_checkpoint(run.folder.checkpoints, step=4, epoch=4.0, arrays=arrays, metadata={})
        with mock.patch.object(checkpoints, "read_arrays") as read_arrays:
            self.assertTrue(run.is_finished())
        read_arrays.assert_not_called()
        (saved / "manifest.json").write_text("{}")
        self.assertFalse(run.is_finished())


class FolderTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "study"
        self.folder.mkdir()

    def accepted(self, other: Study) -> None:
        check_study_folder(self.folder, other)

    def test_new_and_empty(self):
        check_study_folder(self.folder / "new", study("a"))
        self.accepted(study("a"))

    def test_rows_and_seeds_may_be_added(self):
        write_study(self.folder, study("a", "b"))
        (self.folder / "a").mkdir()
        self.accepted(study("a", "b", "c", seeds=(0, 1, 2)))
        self.accepted(study("a"))  # b was not begun
        self.accepted(study("a", "b", evaluate_every=3))

    def test_nothing_is_taken_away(self):
        write_study(self.folder, study("a", "b", seeds=(0, 1)))
        (self.folder / "a" / "seed-1").mkdir(parents=True)
        self.accepted(study("a", "b", seeds=(1,)))  # seed 0 was not begun
        with self.assertRaisesRegex(UserError, r"--seeds=0: \S+seed-1 is there, of another seed"):
            self.accepted(study("a", "b", seeds=(0,)))
        write_records(runs_of(study("a", seeds=(1,)), self.folder)[0], epochs=4)
        self.accepted(study("a", "b", epochs=4, schedule_epochs=4))
        with self.assertRaisesRegex(UserError, "arm 'a': --epochs=3, but the run in .* has 4 passes already"):
            self.accepted(study("a", "b", epochs=3, schedule_epochs=4))

    def test_refused(self):
        write_study(self.folder, study("a", "b"))
        (self.folder / "a").mkdir()
        other = TINY.replacing(learning_rate=0.1, weight_decay=0.0)
        for given, said in (
            (study("c"), "holds another study: its arm 'a' is not in this one"),
            (Study(title="", arms=(Arm(name="a", config=other),), seeds=(0,)),
             r"its arm 'a' has other settings \(--weight_decay: 0.0005 there, 0.0 now\)"),
        ):  # fmt: skip
            with self.subTest(said), self.assertRaisesRegex(UserError, said):
                check_study_folder(self.folder, given)

    def test_weights_that_are_not_there(self):
        absent = study("a", initial_weights=str(self.folder / "none.keras"))
        with self.assertRaisesRegex(
            UserError, "arm 'a': --initial_weights=.*none.keras: there is no such file"
        ):
            runs_of(absent, self.folder)

    def test_of_something_else(self):
        (self.folder / "notes.txt").write_text("mine")
        with self.assertRaisesRegex(UserError, "holds files but no study"):
            self.accepted(study("a"))
        with self.assertRaisesRegex(UserError, "it is a file"):
            check_study_folder(self.folder / "notes.txt", study("a"))


if __name__ == "__main__":
    unittest.main()
