"""A study's plan: what is to be done, and how long it takes as far as that is known."""

import io
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from tests.studies.studies import study, swept, write_finished
from tf_fullbatch.studies import plan
from tf_fullbatch.studies.conduct import StudyConduct
from tf_fullbatch.studies.plan import plan_text
from tf_fullbatch.studies.timing import Pace, kind_of


class PlanTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "study"
        given = swept("a", learning_rate=("0.1", "0.2"), epochs=4)
        self.conduct = StudyConduct(given, str(folder), stream=io.StringIO())
        self.pace = Pace(beside=2.0, per_pass=1.0, per_evaluation=1.0)  # 10 s for 4 passes

    def plan(self, known: bool, jobs: int = 1, **options: bool) -> str:
        kinds = {kind_of(run): self.pace for run in self.conduct.runs} if known else {}
        with mock.patch.object(plan, "paces_of_finished", return_value=kinds):
            return plan_text(self.conduct, jobs, **options)

    def test_trials_and_runs(self):
        text = self.plan(known=False)
        self.assertIn("1 arm, seeds 0, 1: 2 runs, after 2 trials with seed 1000000", text)
        self.assertRegex(text, r"\na: 2 trials +various +4 +64 +1 +512 +512 +0 of 2\n")
        self.assertIn("a tries learning_rate=0.1,0.2; its runs are shown with what they have now.", text)
        self.assertIn("In all 1.02k gradient evaluations", text)  # 4 runs of 4 passes over 64 samples
        self.assertIn("Time: not known before a run is finished; --calibrate measures", text)

    def test_methods_that_search(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        for settings, said in (
            ({}, "In all at least 512 gradient evaluations of a sample; methods that search ask for as many"),
            ({"stop_after_evaluations": 4.0}, "In all 512 gradient evaluations of a sample."),
        ):
            given = study("a", epochs=4, optimizer="nonlinear_cg", seeds=(0, 1), **settings)
            text = plan_text(StudyConduct(given, f"{folder}/study", stream=io.StringIO()))
            self.assertIn(said, text)
            self.assertIn("1 or more", text)

    def test_time_that_is_left(self):
        text = "Time: about {} for the {} left, {} at a time (estimated from finished runs)."
        self.assertIn(text.format("40s", "2 trials and 2 runs", 1), self.plan(known=True))
        self.assertIn(text.format("20s", "2 trials and 2 runs", 2), self.plan(known=True, jobs=2))
        for trial in self.conduct.trials:
            write_finished(trial, accuracy=trial.config.optimizer.learning_rate)
        text = text.format("20s", "2 runs", 1)
        self.assertIn(text, self.plan(known=True))
        for run in self.conduct.runs:
            write_finished(run)
        self.assertIn("Nothing is left to be done.", self.plan(known=True))
        self.assertIn(
            "a tried learning_rate=0.1,0.2, and validation chose learning_rate=0.2.", self.plan(known=True)
        )

    def test_a_calibration_of_what_is_not_known(self):
        kinds = {kind_of(run): self.pace for run in self.conduct.runs}
        with mock.patch.object(plan, "calibrated", return_value=kinds) as calibrated:
            text = self.plan(known=False, jobs=2, calibrate=True)
            self.assertRegex(
                text, r"about 20s .* \(estimated from some seconds of 1 kind of run, measured here in \d"
            )
            calibrated.assert_called_once()
            self.plan(known=True, calibrate=True)
            calibrated.assert_called_once()  # what finished runs say is better, and free
        with mock.patch.object(plan, "calibrated", return_value={}):
            self.assertIn("no step within two minutes", self.plan(known=False, calibrate=True))


if __name__ == "__main__":
    unittest.main()
