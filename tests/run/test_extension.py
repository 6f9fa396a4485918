"""Passes appended to a run by --extend_epochs: a schedule of their own, from the last weights; a setting, no action."""

import json
import math
import signal
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

from tests.command import (
    CommandTestCase,
    Ended,
    command,
    contents,
    evaluations_of,
    steps_of,
    summary_of,
    tiny,
)
from tf_fullbatch import open_run
from tf_fullbatch.records.checkpoints import load_latest
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.report.run_reading import read_run
from tf_fullbatch.report.run_records import Status
from tf_fullbatch.training.full_batch_model import FullBatchModel

RUN = ("--model=linear", "--train_size=120", "--micro_batch_size=32", "--epochs=3", "--batch_size=60", "--shuffle",
       "--augmentation=crop", "--augmentation_padding=1", "--ema_decay=0.9", "--validation_size=50",
       "--evaluate_every=2", "--schedule=cosine", "--learning_rate=0.2")  # fmt: skip
ONCE = ("--extend_epochs=2", "--extend_learning_rate=0.05")
TWICE = ("--extend_epochs=2,2", "--extend_learning_rate=0.05,0.02", "--extend_schedule=cosine,constant",
         "--extend_warmup_epochs=0,2")  # fmt: skip
RATES = [
    *(0.2 * (1 + math.cos(math.pi * t / 3)) / 2 for t in range(3)),
    *(0.05 * (1 + math.cos(math.pi * t / 2)) / 2 for t in range(2)),
    *(0.01, 0.02),
]


class ExtensionTest(CommandTestCase):
    """One run: extended, interrupted within the extension, gone on with, and extended again."""

    draws_curves = False

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.run_folder = cls.shared / "run"
        with mock.patch("tf_fullbatch.run.conclusion.plot_curves", lambda *given: Path(given[2]).touch()):
            cls.ended = [tiny(cls.run_folder, *RUN)]
            cls.ended += [interrupted_after(7, cls.run_folder), tiny(cls.run_folder, *RUN, *ONCE)]
            cls.ended += [tiny(cls.run_folder, *RUN, *TWICE)]

    def test_it_goes_on_from_the_last_weights_at_rates_of_its_own(self) -> None:
        self.assertEqual([0, 5, 0, 0], [ended.code for ended in self.ended], self.ended[-1].err)
        for ended, after in zip(self.ended[1:], ("6 (epoch 3)", "7 (epoch 3)", "10 (epoch 5)"), strict=True):
            self.assertIn(f"after step {after}", ended.err)
        rates = [row["learning_rate"] for row in steps_of(self.run_folder)]
        np.testing.assert_allclose(rates, np.repeat(RATES, 2), rtol=1e-6)
        self.assertEqual(
            ("COMPLETED", 7.0), tuple(summary_of(self.run_folder)[k] for k in ("outcome", "epochs"))
        )
        evaluated = [row["epoch"] for row in evaluations_of(self.run_folder) if row["split"] == "test"]
        self.assertEqual([2.0, 3.0, 4.0, 5.0, 6.0, 7.0], sorted(set(evaluated)))

    def test_its_flagfile_repeats_all_of_it_from_scratch_bit_for_bit(self) -> None:
        whole = self.folder / "whole"
        flagfile = self.run_folder / "run.flags"
        self.assertIn("--extend_epochs=2,2", flagfile.read_text())
        self.assert_done(command(f"--flagfile={flagfile}", f"--output_dir={whole}"))
        self.assertEqual(steps_of(whole), steps_of(self.run_folder))
        self.assertEqual(evaluations_of(whole), evaluations_of(self.run_folder))
        one, other = (load_latest(folder / "checkpoints")[0] for folder in (whole, self.run_folder))
        self.assertEqual(14, one.step)
        self.assertEqual(one.arrays.keys(), other.arrays.keys())
        for name, array in one.arrays.items():
            self.assertEqual(array.tobytes(), other.arrays[name].tobytes(), name)
        for name in ("samples_seen", "best", "best_step"):
            self.assertEqual(one.metadata[name], other.metadata[name])

    def test_the_same_command_extends_it_no_further(self) -> None:
        before = contents(self.run_folder)
        ended = self.assert_done(tiny(self.run_folder, *RUN, *TWICE))
        self.assertIn("nothing to do", ended.err)
        self.assertIn("has its 7 epochs", ended.err)
        self.assertEqual(before, contents(self.run_folder))

    def test_what_was_appended_stays_as_it_is(self) -> None:
        before = contents(self.run_folder)
        changed = "--extend_epochs=3,2", *TWICE[1:]
        for arguments, said in (
            (ONCE, "--extend_epochs: 2,2 there, 2 now"),
            ((), "--extend_epochs: 2,2 there, none now"),
            (
                (),
                "to go on with it, give --extend_epochs=2,2 --extend_learning_rate=0.05,0.02 "
                "--extend_warmup_epochs=0,2 --extend_schedule=cosine,constant too.",
            ),
            (changed, "--extend_epochs: 2,2 there, 3,2 now"),
            (
                (*TWICE, "--extend_learning_rate=0.05,0.03"),
                "--extend_learning_rate: 0.05,0.02 there, 0.05,0.03 now",
            ),
            (
                (*TWICE, "--extend_schedule=cosine,linear"),
                "--extend_schedule: cosine,constant there, cosine,linear",
            ),
            ((*TWICE, "--epochs=4", "--schedule_epochs=3"), "--epochs: 3 there, 4 now"),
        ):
            with self.subTest(said):
                self.assert_refused(
                    tiny(self.run_folder, *RUN, *arguments), "holds a run with other settings", said
                )
        self.assertEqual(before, contents(self.run_folder))

    def test_what_was_left_open_may_be_said(self) -> None:
        given = (*TWICE[:2], "--extend_schedule=cosine,constant", "--extend_warmup_epochs=0.0,2")
        self.assertIn("nothing to do", self.assert_done(tiny(self.run_folder, *RUN, *given)).err)

    def test_it_is_evaluated_opened_and_reported_as_one_run(self) -> None:
        ended = self.assert_done(command("--mode=evaluate", f"--output_dir={self.run_folder}"))
        self.assertIn("step 14, epoch 7", ended.out)
        opened = open_run(self.run_folder)
        self.assertEqual((14, 7.0), (opened.step, opened.epoch))
        self.assertEqual(14, len(opened.history))
        recorded = read_run(RunFolder(self.run_folder))
        self.assertEqual((Status.COMPLETED, 7), (recorded.status, recorded.planned_passes))
        self.assertEqual(
            [2, 2], json.loads((self.run_folder / "config.json").read_text())["optimizer"]["extend_epochs"]
        )


class RefusedTest(CommandTestCase):
    def test_in_one_line_before_anything_is_written(self) -> None:
        for arguments, said in (
            (("--extend_epochs=0",), "--extend_epochs=0: must be at least 1"),
            (
                ("--extend_learning_rate=0.1",),
                "give one for each of --extend_epochs, 0 in all, or leave it out",
            ),
            (
                ("--extend_epochs=2,3", "--extend_learning_rate=0.1"),
                "give one for each of --extend_epochs, 2 in all",
            ),
            (
                ("--extend_epochs=2", "--extend_schedule=no"),
                "--extend_schedule=no: accepted are published, cosine",
            ),
            (("--extend_epochs=2", "--warmup_epochs=3"), "--extend_epochs=2 with a warmup of 3 epochs"),
            (
                ("--extend_epochs=2", "--extend_schedule=steps"),
                "--extend_schedule=steps needs the run",
            ),
            (
                ("--extend_epochs=2", "--schedule=steps", "--decay_epochs=2"),
                "--extend_epochs=2 with --schedule=steps: --decay_epochs=2: give ascending epochs before",
            ),
        ):
            with self.subTest(said):
                self.assert_refused(tiny(self.folder / "run", "--epochs=4", *arguments), said)
        self.assertEqual({}, contents(self.folder))

    def test_passes_of_the_runs_own_schedule_cannot_become_appended_ones(self) -> None:
        run = self.folder / "run"
        arguments = ("--train_size=100", "--model=linear", "--micro_batch_size=100", "--schedule_epochs=4")
        self.assert_done(command(*arguments, "--epochs=3", f"--output_dir={run}"))
        before = contents(run)
        ended = command(*arguments, "--epochs=2", "--extend_epochs=2", f"--output_dir={run}")
        self.assert_refused(
            ended, "--epochs=2 with --extend_epochs", "already has 3 by its own schedule", "--epochs=3"
        )
        self.assertEqual(before, contents(run))
        # The run's own passes carried further, then some that are appended.
        self.assert_done(command(*arguments, "--epochs=4", "--extend_epochs=1", f"--output_dir={run}"))
        self.assertEqual(5, len(steps_of(run)))


class SaidTest(CommandTestCase):
    def test_the_plan_and_the_run_say_it(self) -> None:
        arguments = ("--train_size=100", "--model=linear", "--micro_batch_size=100", "--epochs=2",
                     "--extend_epochs=3,2", "--schedule=published", "--extend_warmup_epochs=1,2",
                     "--extend_learning_rate=0.3,0.2", "--extend_schedule=published,linear")  # fmt: skip
        planned = self.assert_done(command(*arguments, "--dry_run")).out
        self.assertRegex(
            planned,
            r"(?m)^appended +3 passes of --schedule=published, peak learning rate 0.3, warmup 1 epochs",
        )
        self.assertRegex(
            planned, r"(?m)^appended +2 passes of --schedule=linear, peak learning rate 0.2, warmup 2 epochs"
        )
        self.assertRegex(planned, r"(?m)^steps +7 in 7 passes")
        still = "1 of 7 passes has the learning rate 0, in which no weight moves: 3"
        at_peak = (
            "the last pass has 100% of the peak learning rate: the schedule has a warmup of 2 of 2 epochs"
        )
        ran = self.assert_done(command(*arguments, f"--output_dir={self.folder / 'run'}")).err
        for said in (still, at_peak):
            self.assertIn(said, planned)
            self.assertIn(f"note: {said}", ran)


def interrupted_after(step: int, folder: Path) -> Ended:
    """Extends the run; a signal comes when so many steps are made."""
    original = FullBatchModel.train_step

    def train_step(model: FullBatchModel, most: int):
        if model.steps_completed == step:
            signal.raise_signal(signal.SIGTERM)
            while model.stop_requested() is None:
                pass
        return original(model, 1)

    with mock.patch.object(FullBatchModel, "train_step", train_step):
        return tiny(folder, *RUN, *ONCE)


if __name__ == "__main__":
    unittest.main()
