"""Interrupted and lengthened runs: they end as if nothing had happened."""

import signal
import time
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from tests.command import (
    CommandTestCase,
    Ended,
    contents,
    evaluations_of,
    scalars,
    steps_of,
    summary_of,
    tiny,
)
from tf_fullbatch.errors import Outcome
from tf_fullbatch.records.checkpoints import list_checkpoints, load_checkpoint, load_latest
from tf_fullbatch.training.full_batch_model import FullBatchModel

AXES = "--tensorboard_axes=step,passes,gradient_evaluations"


class ResumeTest(CommandTestCase):
    """A run in two parts is the run in one, bit for bit."""

    draws_curves = False

    def assert_resumes(self, *arguments: str) -> None:
        arguments = (*arguments, "--schedule_epochs=6", "--evaluate_every=3", "--checkpoint_every=2", AXES)
        whole, parts = self.folder / "whole", self.folder / "parts"
        self.assert_done(tiny(whole, "--epochs=6", *arguments))
        self.assert_done(tiny(parts, "--epochs=3", *arguments))
        ended = self.assert_done(tiny(parts, "--epochs=6", *arguments, "--chunk_micro_batches=1"))
        self.assertRegex(ended.err, r"resuming .* after step \d+ \(epoch 3\)")
        self.assertEqual(steps_of(whole), steps_of(parts))
        self.assertEqual(evaluations_of(whole), evaluations_of(parts))
        one, other = (load_latest(folder / "checkpoints")[0] for folder in (whole, parts))
        self.assertEqual(one.step, other.step)
        np.testing.assert_equal(one.arrays, other.arrays)
        for name in ("samples_seen", "best", "best_step"):
            self.assertEqual(one.metadata[name], other.metadata[name])
        loss = scalars(parts / "summaries" / "train")["loss"]
        self.assertEqual([row["step"] for row in steps_of(whole)], [step for step, _ in loss])
        for run in ("train-by_passes", "train-by_gradient_evaluations", "test-by_gradient_evaluations"):
            points = [scalars(folder / "summaries" / run)["loss"] for folder in (whole, parts)]
            self.assertEqual(*points)
            self.assertGreater(len(points[0]), 1)

    def test_full_batch(self):
        self.assert_resumes("--augmentation=crop_flip", "--ema_decay=0.9", "--validation_size=50")

    @pytest.mark.slow
    def test_sgd_with_noise(self):
        self.assert_resumes(
            "--batch_size=64", "--shuffle", "--penalty=nested_tape", "--penalty_strength=0.5",
            "--additive_noise=1e-3", "--multiplicative_noise=0.1", "--activation=softplus", "--optimizer=adamw",
            "--learning_rate=1e-3",
        )  # fmt: skip


class InterruptedTest(CommandTestCase):
    draws_curves = False

    def setUp(self) -> None:
        super().setUp()
        self.output = self.folder / "run"

    def interrupt(self, at_step: int, *arguments: str, number: int = signal.SIGTERM) -> Ended:
        """Runs the command; a signal comes when step `at_step` begins."""
        original = FullBatchModel.train_step

        def train_step(model: FullBatchModel, most: int):
            before = at_step - 1 - model.steps_completed
            if before == 0:
                send(number, model)
            return original(model, min(most, before) if before > 0 else most)

        with mock.patch.object(FullBatchModel, "train_step", train_step):
            return tiny(self.output, "--epochs=4", *arguments)

    def assert_interrupted(self, ended: Ended, name: str, step: int) -> None:
        """The end of an interrupted run: code, message, summary, and the checkpoint that is kept."""
        self.assertEqual(Outcome.INTERRUPTED.exit_code, ended.code)
        kept = f"step-{step:08d}"
        self.assertEqual(
            f"error: interrupted by {name}: {kept} is kept. The same command goes on from there.",
            ended.err.splitlines()[-1],
        )
        self.assertEqual(
            ("INTERRUPTED", step), (summary_of(self.output)["outcome"], summary_of(self.output)["steps"])
        )
        self.assertTrue((self.output / "checkpoints" / kept).is_dir())

    def assert_equal_runs(self, whole: Path, parts: Path) -> None:
        """Records and weights are those of a run that was never interrupted."""
        self.assertEqual(steps_of(whole), steps_of(parts))
        self.assertEqual(evaluations_of(whole), evaluations_of(parts))
        one, other = (load_checkpoint(list_checkpoints(f / "checkpoints")[0]) for f in (whole, parts))
        self.assertEqual(one.step, other.step)
        for name, array in one.arrays.items():
            self.assertEqual(array.tobytes(), other.arrays[name].tobytes(), name)

    def test_the_last_completed_step_is_kept_and_gone_on_from(self):
        arguments = ("--learning_rate=0.3", "--profile_steps=1,4")
        self.assert_interrupted(self.interrupt(4, *arguments), "SIGTERM", 3)
        ended = self.assert_done(tiny(self.output, "--epochs=4", *arguments))
        self.assertIn("after step 3 (epoch 3)", ended.err)
        self.assertEqual([1, 2, 3, 4], [row["step"] for row in steps_of(self.output)])
        self.assertEqual("COMPLETED", summary_of(self.output)["outcome"])

    @pytest.mark.slow
    def test_within_an_epoch_of_several_steps(self):
        arguments = ("--batch_size=64", "--shuffle", "--augmentation=crop", "--ema_decay=0.5", "--quiet")
        ended = self.interrupt(7, *arguments, number=signal.SIGINT)
        self.assertEqual("", ended.out)
        self.assert_interrupted(ended, "SIGINT", 6)
        self.assert_done(tiny(self.output, "--epochs=4", *arguments))
        whole = self.folder / "whole"
        self.assert_done(tiny(whole, "--epochs=4", *arguments))
        self.assert_equal_runs(whole, self.output)

    def test_within_an_evaluation(self):
        arguments = ("--validation_size=50", "--ema_decay=0.5", "--evaluate_every=2")
        original = FullBatchModel.test_step

        def test_step(model: FullBatchModel, iterator):
            calls.append(model.steps_completed)
            if len(calls) == 3:  # validation raw and averaged are done, test is not
                send(signal.SIGTERM, model)
            return original(model, iterator)

        calls: list[int] = []
        with mock.patch.object(FullBatchModel, "test_step", test_step):
            ended = tiny(self.output, "--epochs=4", *arguments)
        self.assert_interrupted(ended, "SIGTERM", 2)
        self.assertEqual([], evaluations_of(self.output))
        self.assert_done(tiny(self.output, "--epochs=4", *arguments))
        whole = self.folder / "whole"
        self.assert_done(tiny(whole, "--epochs=4", *arguments))
        self.assert_equal_runs(whole, self.output)

    def test_before_the_first_step_is_complete(self):
        ended = self.interrupt(1)
        self.assertEqual(Outcome.INTERRUPTED.exit_code, ended.code)
        self.assertIn("no step was completed", ended.err)
        self.assert_done(tiny(self.output, "--epochs=4"))
        self.assertEqual([1, 2, 3, 4], [row["step"] for row in steps_of(self.output)])

    def test_before_training(self):
        def interrupted(*_: object) -> None:
            signal.raise_signal(signal.SIGTERM)

        with mock.patch("tf_fullbatch.run.build.load_splits", side_effect=interrupted):
            ended = tiny(self.output)
        self.assert_refused(ended, "interrupted by SIGTERM", "same command", code=5)
        self.assertEqual({}, contents(self.folder))


def send(number: int, model: FullBatchModel) -> None:
    """Sends a signal to this process and waits until it is heard."""
    signal.raise_signal(number)
    deadline = time.monotonic() + 10
    while model.stop_requested() is None and time.monotonic() < deadline:
        pass


if __name__ == "__main__":
    unittest.main()
