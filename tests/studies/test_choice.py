"""What trials come to, and what they choose: by validation samples, among those that completed."""

import math
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from tests.studies.studies import study, swept, write_finished, write_records
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records.study_file import Study, folder_of
from tf_fullbatch.studies.choice import choice_of, choice_text, settle, with_choice, with_earlier_choice
from tf_fullbatch.studies.planned_runs import Run, runs_of
from tf_fullbatch.studies.trials import result_of, rows_of, trial_folder, trials_of

RATES = ("0.1", "0.2", "0.3")


class TrialsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.study = swept("a", learning_rate=RATES)
        self.trials = trials_of(self.study, self.folder)

    def finish(self, *figures: dict[str, float]) -> None:
        for trial, own in zip(self.trials, figures, strict=True):
            write_finished(trial, **own)

    def best(self, choose_by: str | None = None) -> str | None:
        best = choice_of([result_of(trial) for trial in self.trials], choose_by).best
        return None if best is None else best.run.point[0][1]

    def test_a_trial_has_a_seed_of_its_own_and_no_test_samples(self):
        for trial, rate in zip(self.trials, RATES, strict=True):
            self.assertEqual((1_000_000, 1_000_000), (trial.seed, trial.config.step.seed))
            self.assertFalse(trial.config.runtime.evaluate_test)
            self.assertEqual((), trial.config.runtime.hparams)  # TensorBoard has all their settings
            self.assertEqual(float(rate), trial.config.optimizer.learning_rate)
            self.assertEqual(
                self.folder / "trials" / "a" / f"learning_rate={rate}" / "seed-1000000", trial.folder.path
            )
        self.assertEqual("a, learning_rate=0.1", str(self.trials[0]))

    def test_folders_of_values_that_name_no_folder(self):
        names = {
            trial_folder("x", "a", (("model_options", v),), 1).path.parent.name
            for v in ("a/b", "a-b", "c" * 300)
        }
        self.assertEqual(3, len(names))
        for name in names:
            self.assertRegex(name, r"^model_options=[\w.+=-]{1,200}$")

    def test_without_validation_samples(self):
        for given in ({"validation_size": 0}, {"validation_size": 0, "dataset": "mnist"}):
            arm = self.study.arms[0]
            none = Study(
                title="",
                arms=(type(arm)(name="a", config=arm.config.replacing(**given), sweep=arm.sweep),),
                seeds=(0,),
            )
            with self.assertRaisesRegex(
                UserError, "arm 'a': its sweep has no samples to choose by, and test data"
            ):
                trials_of(none, self.folder)

    def test_losses_that_do_not_compare_choose_nothing(self):
        self.study = swept("a", label_smoothing=("0", "0.1", "0.2"))
        self.trials = trials_of(self.study, self.folder)
        self.finish({"loss": 0.1}, {"loss": 0.2}, {"loss": 0.3})
        self.assertIsNone(self.best())
        self.finish(*({"loss": 1.0, "cross_entropy": value} for value in (0.3, 0.1, 0.2)))
        self.assertEqual("0.1", self.best("validation_loss"))

    def test_by_accuracy_else_by_loss(self):
        self.finish(*({"accuracy": a, "loss": x} for a, x in ((0.5, 0.1), (0.9, 0.3), (0.8, 0.2))))
        self.assertEqual("0.2", self.best())
        self.assertEqual("0.2", self.best("validation_error"))
        self.assertEqual("0.1", self.best("validation_loss"))

    def test_without_accuracies(self):
        self.finish({"loss": 0.3}, {"loss": 0.1}, {"loss": math.nan})
        self.assertEqual("0.2", self.best())
        self.assertIsNone(self.best("validation_accuracy"))
        results = [result_of(trial) for trial in self.trials]
        self.assertEqual("validation_loss", choice_of(results, None).choose_by)

    def test_of_equal_ones_the_lower_loss_then_the_first(self):
        self.finish(*({"accuracy": 0.9, "loss": x} for x in (0.3, 0.2, 0.2)))
        self.assertEqual("0.2", self.best())

    def test_what_is_not_completed_is_not_chosen(self):
        unfinished, diverged, completed = self.trials
        write_records(unfinished, 2, split="validation", accuracy=1.0, loss=0.0)
        write_finished(diverged, Outcome.NON_FINITE, accuracy=1.0, loss=0.0)
        write_finished(completed, accuracy=0.2, loss=2.0)
        self.assertEqual("0.3", self.best())
        results = [result_of(trial) for trial in self.trials]
        self.assertEqual(["unfinished", "non finite", "completed"], [result.status for result in results])
        self.assertEqual([False, True, True], [result.ended for result in results])
        self.assertEqual("failed", result_of(unfinished, "out of luck").status)

    def test_test_figures_are_no_validation_figures(self):
        for trial in self.trials:
            write_finished(trial, split="test", accuracy=1.0)
        self.assertIsNone(self.best())

    def test_none_at_all(self):
        self.assertIsNone(self.best())
        choice = choice_of([result_of(trial) for trial in self.trials], None)
        self.assertEqual(
            ["a: none of its 3 trials has a validation accuracy; it is left out."],
            choice_text(self.study.arms[0], choice, 3),
        )

    def test_words(self):
        self.finish(*({"accuracy": a} for a in (0.5, 0.6, 0.7)))
        choice = choice_of([result_of(trial) for trial in self.trials], None)
        chosen, edge = choice_text(self.study.arms[0], choice, 3)
        self.assertEqual(
            "a: chosen by validation accuracy (70.00 %) from 3 trials: learning_rate=0.3", chosen
        )
        self.assertIn("a: learning_rate=0.3 is the largest tried", edge)

    def test_rows(self):
        self.finish(*({"accuracy": a} for a in (0.5, 0.6, 0.55)))
        rows = rows_of(
            [result_of(trial) for trial in self.trials],
            {"a": "validation_error"},
            [self.trials[1]],
            self.folder,
        )
        self.assertEqual(
            [(0.5, False), (0.4, True), (0.45, False)],
            [(round(row.figure or 0, 9), row.chosen) for row in rows],
        )
        self.assertEqual("trials/a/learning_rate=0.2/seed-1000000", rows[1].folder)


class SettleTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.study = swept("a", learning_rate=RATES)
        self.trials = trials_of(self.study, self.folder)

    def chosen(self, k: int) -> list[Run]:
        """The runs of a choice, in their place."""
        arm = with_choice(self.study.arms[0], self.trials[k])
        self.moved = settle(self.folder, self.study, arm)
        return runs_of(Study(title="", arms=(arm,), seeds=self.study.seeds), self.folder)

    def test_runs_of_an_earlier_choice_make_place_and_come_back(self):
        for run in self.chosen(0):
            write_finished(run)
            run.log.write_text("said")
        self.assertEqual([], self.moved)
        self.assertTrue(all(run.is_finished() for run in self.chosen(0)))
        self.assertFalse(any(run.folder.path.exists() for run in self.chosen(1)))
        self.assertEqual(2, len(self.moved))
        aside = self.folder / "trials" / "a" / "learning_rate=0.1"
        self.assertEqual("said", (aside / "seed-1.log").read_text())
        back = self.chosen(0)
        self.assertTrue(all(run.is_finished() and run.log.exists() for run in back))
        self.assertEqual(["a, seed 0: the run of learning_rate=0.1 is back",
                          "a, seed 1: the run of learning_rate=0.1 is back"], self.moved)  # fmt: skip

    def test_nothing_is_overwritten(self):
        for run in self.chosen(0):
            write_finished(run)
        (self.folder / "trials" / "a" / "learning_rate=0.1" / "seed-0").mkdir(parents=True)
        with self.assertRaisesRegex(UserError, "seed-0 is there already: delete it, or"):
            self.chosen(1)
        self.assertTrue(folder_of(self.folder, "a", 0).config.exists())

    def test_an_earlier_choice_holds_until_there_is_another(self):
        (arm,) = self.study.arms
        old = with_choice(arm, self.trials[2])
        self.assertEqual(0.3, with_earlier_choice(arm, old).config.optimizer.learning_rate)
        self.assertEqual(0.1, with_earlier_choice(arm, None).config.optimizer.learning_rate)
        (plain,) = study("a").arms
        self.assertIs(plain, with_earlier_choice(plain, old))
        with mock.patch.object(type(arm.config), "replacing", side_effect=UserError("cannot be")):
            self.assertIs(arm, with_earlier_choice(arm, old))


if __name__ == "__main__":
    unittest.main()
