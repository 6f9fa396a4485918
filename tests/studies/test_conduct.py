"""A study with sweeps: trials, choice and runs, in their order, again, and after a stop."""

import dataclasses
import io
import shutil
import tempfile
import unittest
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from tests.studies.studies import study, swept, write_finished
from tf_fullbatch.errors import Outcome, RunInterruptedError, UserError
from tf_fullbatch.records.study_file import Study, read_study
from tf_fullbatch.records.trials_file import read_trials
from tf_fullbatch.report.loading import load
from tf_fullbatch.studies import conduct
from tf_fullbatch.studies.conduct import StudyConduct
from tf_fullbatch.studies.execution import Failure
from tf_fullbatch.studies.plan import plan_text
from tf_fullbatch.studies.planned_runs import Run


class FakeExecution:
    """Stands for `StudyExecution`: a run's validation accuracy is its learning rate; one above 1 diverges."""

    made: list[str]
    stop_at: str | None = None
    fails: str | None = None
    without_accuracy = False

    def __init__(self, runs: Sequence[Run], jobs: int, progress: Any, on_end: Callable[[], None],
                 is_wanted: Callable[[Run], bool]):  # fmt: skip
        self.failures: list[Failure] = []
        self._runs, self._on_end, self._is_wanted = runs, on_end, is_wanted

    def execute(self) -> None:
        """Writes what the runs would leave."""
        for run in self._runs:
            if run.is_finished() or not self._is_wanted(run):
                continue
            if str(run) == self.stop_at:
                raise RunInterruptedError("SIGINT")
            self.made.append(str(run))
            rate = run.config.optimizer.learning_rate
            if str(run) == self.fails:
                self.failures.append(Failure(run, 4, "out of memory"))
            elif rate > 1:
                write_finished(run, Outcome.NON_FINITE, accuracy=0.1, loss=9.0)
                self.failures.append(Failure(run, 3, "the loss is nan"))
            elif self.without_accuracy:
                write_finished(run, loss=1 - rate)
            else:
                write_finished(run, accuracy=rate, loss=1 - rate)
            self._on_end()


class ConductTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "study"
        FakeExecution.made, FakeExecution.stop_at, FakeExecution.fails = [], None, None
        self.enterContext(mock.patch.object(conduct, "StudyExecution", FakeExecution))

    def execute(self, given: Study) -> StudyConduct:
        self.out = io.StringIO()
        made = StudyConduct(given, str(self.folder), stream=self.out)
        FakeExecution.made = []
        made.execute()
        return made

    def chosen(self) -> list[float]:
        table = read_trials(self.folder)
        return table[table["chosen"]]["learning_rate"].tolist()

    def test_trials_then_the_choice_then_the_runs(self):
        made = self.execute(swept("a", learning_rate=("0.1", "0.4", "1e30", "0.2")))
        self.assertEqual(
            ["a, learning_rate=0.1", "a, learning_rate=0.4", "a, learning_rate=1e+30", "a, learning_rate=0.2",
             "a, seed 0", "a, seed 1"], FakeExecution.made)  # fmt: skip
        self.assertEqual(0, made.exit_code())
        self.assertEqual([0.4], self.chosen())
        self.assertEqual([0.4], [arm.config.optimizer.learning_rate for arm in read_study(self.folder).arms])
        (arm,) = load([self.folder]).arms
        self.assertEqual(
            ([0, 1], 0.4), ([run.seed for run in arm.completed], arm.config.optimizer.learning_rate)
        )
        self.assertIn("validation chose learning_rate=0.4", plan_text(made))

    def test_again_and_with_more_values(self):
        self.execute(swept("a", learning_rate=("0.1", "0.2")))
        self.execute(swept("a", learning_rate=("0.1", "0.2")))
        self.assertEqual([], FakeExecution.made)
        self.execute(swept("a", learning_rate=("0.1", "0.2", "0.15")))
        self.assertEqual(["a, learning_rate=0.15"], FakeExecution.made)  # the choice stays
        self.execute(swept("a", learning_rate=("0.1", "0.2", "0.15", "0.4")))
        self.assertEqual(["a, learning_rate=0.4", "a, seed 0", "a, seed 1"], FakeExecution.made)
        self.assertIn("moved to trials/a", self.out.getvalue())
        self.assertEqual([0.4], self.chosen())
        self.assertEqual(2, len(load([self.folder]).arms[0].completed))

    def test_stopped_among_trials(self):
        FakeExecution.stop_at = "a, learning_rate=0.2"
        with self.assertRaises(RunInterruptedError):
            self.execute(swept("a", learning_rate=("0.1", "0.2")))
        table = read_trials(self.folder)
        self.assertEqual(["completed", "not started"], table["status"].tolist())
        self.assertEqual([], self.chosen())
        FakeExecution.stop_at = None
        self.execute(swept("a", learning_rate=("0.1", "0.2")))
        self.assertEqual(["a, learning_rate=0.2", "a, seed 0", "a, seed 1"], FakeExecution.made)

    def test_a_diverged_trial_is_not_tried_again_and_a_failed_one_is(self):
        FakeExecution.fails = "a, learning_rate=0.2"
        made = self.execute(swept("a", learning_rate=("0.1", "0.2", "9")))
        self.assertEqual((4, [0.1]), (made.exit_code(), self.chosen()))
        self.assertEqual(["completed", "failed", "non finite"], read_trials(self.folder)["status"].tolist())
        FakeExecution.fails = None
        self.execute(swept("a", learning_rate=("0.1", "0.2", "9")))
        self.assertEqual(["a, learning_rate=0.2", "a, seed 0", "a, seed 1"], FakeExecution.made)

    def test_an_arm_without_a_choice_is_in_nobodys_way(self):
        both = swept("a", "b", learning_rate=("2", "3")).arms
        plain = study("plain").arms[0]
        made = self.execute(Study(title="", arms=(both[0], plain), seeds=(0,)))
        self.assertEqual("plain, seed 0", FakeExecution.made[-1])
        self.assertEqual((["a"], 3), (made.without_choice, made.exit_code()))
        self.assertIn("a: none of its 2 trials has a validation accuracy", self.out.getvalue())
        self.assertFalse((self.folder / "a").exists())

    def test_an_arm_that_has_no_accuracy_to_choose_by_is_stopped_at_its_first_trial(self):
        given = dataclasses.replace(swept("a", learning_rate=("0.1", "0.2")), choose_by="validation_error")
        self.enterContext(mock.patch.object(FakeExecution, "without_accuracy", True))
        for expected in (["a, learning_rate=0.1"], []):  # so it stays with the same command
            made = self.execute(given)
            self.assertEqual(
                (expected, 2, ["a"]), (FakeExecution.made, made.exit_code(), made.without_choice)
            )
            self.assertEqual(1, self.out.getvalue().count("Give --choose_by=validation_loss"))
        self.execute(dataclasses.replace(given, choose_by="validation_loss"))
        self.assertEqual([0.2], self.chosen())

    def test_a_folder_that_was_deleted_is_made_anew(self):
        self.execute(swept("a", learning_rate=("0.1", "0.2")))
        shutil.rmtree(self.folder / "trials")
        shutil.rmtree(self.folder / "a" / "seed-1")
        self.execute(swept("a", learning_rate=("0.1", "0.2")))
        self.assertEqual(["a, learning_rate=0.1", "a, learning_rate=0.2", "a, seed 1"], FakeExecution.made)

    def test_nothing_is_written_where_it_is_refused(self):
        with self.assertRaisesRegex(UserError, "no samples to choose by"):
            self.execute(swept("a", learning_rate=("0.1", "0.2"), validation_size=0))
        self.assertFalse(self.folder.exists())

    def test_a_folder_of_data_that_is_not_there(self):
        for classes in (
            None,
            "2",
        ):  # of all samples their number is asked for before, of some classes it is not
            with self.assertRaisesRegex(UserError, "arm 'a': --dataset=/no/such/: there is no such folder"):
                self.execute(study("a", dataset="/no/such/", classes=classes))
            self.assertFalse(self.folder.exists())


if __name__ == "__main__":
    unittest.main()
