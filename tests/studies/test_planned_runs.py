"""The runs of a study: their settings, cost and progress."""

import dataclasses
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from tests.studies.studies import TINY, study, write_finished, write_records
from tf_fullbatch.errors import UserError
from tf_fullbatch.records import checkpoints
from tf_fullbatch.studies.cost import Cost, cost_of
from tf_fullbatch.studies.planned_runs import runs_of


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
            ({"optimizer": "lbfgs"}, Cost(4, 64, 1, asks=True)),
            ({"line_search": "armijo"}, Cost(4, 64, 1, asks=True)),
            ({"optimizer": "keras:Adam"}, Cost(4, 64, 1)),
            ({"stop_after_evaluations": 3.0}, Cost(4, 64, 1, goal=3.0)),
        ):
            with self.subTest(settings):
                self.assertEqual(expected, cost_of(TINY.replacing(**settings)))

    def test_totals(self):
        self.assertEqual((256, 768), (Cost(4, 64, 3).samples, Cost(4, 64, 3).total))
        self.assertEqual((None, None), (Cost(4, None, 3).samples, Cost(4, None, 3).total))

    def test_a_goal_of_evaluations_ends_a_run(self):
        for cost, samples, total, is_open in (
            (Cost(4, 64, 3, goal=7), 3 * 64, 9 * 64, False),
            (Cost(4, 64, 3, goal=100), 4 * 64, 12 * 64, False),
            (Cost(4, 64, 1, asks=True), 4 * 64, 4 * 64, True),
            (Cost(4, 64, 1, asks=True, goal=4), 4 * 64, 4 * 64, False),  # in fewer passes, it may be
            (Cost(4, 64, 1, asks=True, goal=9), 4 * 64, 4 * 64, True),
        ):
            with self.subTest(cost):
                self.assertEqual((cost.samples, cost.total, cost.is_open), (samples, total, is_open))


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
        self.assertEqual({()}, {run.config.runtime.hparams for run in runs})

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

    def test_fraction_of_a_goal_of_evaluations(self):
        for goal, spent, fraction in (
            (8.0, 2.0, 0.75),
            (8.0, 1.0, 0.75),
            (2.0, 9.0, 1.0),
            (12.0, 3.5, 0.875),
        ):
            with self.subTest(goal=goal, spent=spent):
                run = runs_of(study("a"), self.folder / f"{goal}_{spent}")[0]
                runtime = dataclasses.replace(run.config.runtime, stop_after_evaluations=goal)
                run = dataclasses.replace(run, config=dataclasses.replace(run.config, runtime=runtime))
                write_records(run, epochs=3, evaluations_per_step=spent)
                self.assertEqual(fraction, run.fraction())

    def test_what_is_not_finished(self):
        run = runs_of(study("a"), self.folder)[0]
        self.assertFalse(run.is_finished())
        write_records(run, epochs=4)  # without a checkpoint
        self.assertFalse(run.is_finished())
        run.folder.summary.write_text("{")
        self.assertFalse(run.is_finished())

    def test_finished_without_reading_the_arrays_of_its_checkpoint(self):
        run = runs_of(study("a"), self.folder)[0]
        saved = write_finished(run, split="test")
        with mock.patch.object(checkpoints, "read_arrays") as read_arrays:
            self.assertTrue(run.is_finished())
        read_arrays.assert_not_called()
        (saved / "manifest.json").write_text("{}")
        self.assertFalse(run.is_finished())

    def test_weights_that_are_not_there(self):
        absent = study("a", initial_weights=str(self.folder / "none.keras"))
        with self.assertRaisesRegex(
            UserError, "arm 'a': --initial_weights=.*none.keras: there is no such file"
        ):
            runs_of(absent, self.folder)


if __name__ == "__main__":
    unittest.main()
