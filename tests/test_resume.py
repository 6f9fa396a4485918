"""Interrupted and lengthened runs: they end as if nothing had happened."""

import unittest
from unittest import mock

import numpy as np

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
from tf_fullbatch.outcomes import Outcome
from tf_fullbatch.training.checkpoints import load_latest
from tf_fullbatch.training.full_batch_model import FullBatchModel


class ResumeTest(CommandTestCase):
    """A run in two parts is the run in one, bit for bit."""

    draws_curves = False

    def assert_resumes(self, *arguments: str) -> None:
        arguments = (*arguments, "--schedule_epochs=6", "--evaluate_every=3", "--checkpoint_every=2")
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
        loss = scalars(parts / "summaries" / "train")["1 objective/loss"]
        self.assertEqual([row["step"] for row in steps_of(whole)], [step for step, _ in loss])

    def test_full_batch(self):
        self.assert_resumes("--augmentation=crop_flip", "--ema_decay=0.9", "--validation_size=50")

    def test_sgd_with_noise(self):
        self.assert_resumes(
            "--batch_size=64", "--shuffle", "--penalty=nested_tape", "--penalty_strength=0.5",
            "--additive_noise=1e-3", "--multiplicative_noise=0.1", "--activation=softplus", "--optimizer=adamw",
            "--learning_rate=1e-3",
        )  # fmt: skip


class InterruptedTest(CommandTestCase):
    draws_curves = False

    def interrupt(self, at_step: int, *arguments: str) -> Ended:
        original = FullBatchModel.train_step

        def train_step(model: FullBatchModel, iterator):
            if model.steps_completed + 1 == at_step:
                raise KeyboardInterrupt
            return original(model, iterator)

        with mock.patch.object(FullBatchModel, "train_step", train_step):
            return tiny(self.folder, "--epochs=4", *arguments)

    def test_the_last_completed_epoch_is_kept_and_gone_on_from(self):
        arguments = ("--learning_rate=0.3", "--profile_steps=1,4")
        ended = self.interrupt(4, *arguments)
        self.assertEqual(Outcome.INTERRUPTED.exit_code, ended.code)
        self.assertEqual(
            "error: interrupted; the checkpoint step-00000003 is kept. The same command goes on from there.",
            ended.err.splitlines()[-1],
        )
        self.assertEqual(
            ("INTERRUPTED", 3), (summary_of(self.folder)["outcome"], summary_of(self.folder)["steps"])
        )
        ended = self.assert_done(tiny(self.folder, "--epochs=4", *arguments))
        self.assertIn("after step 3 (epoch 3)", ended.err)
        self.assertEqual([1, 2, 3, 4], [row["step"] for row in steps_of(self.folder)])
        self.assertEqual("COMPLETED", summary_of(self.folder)["outcome"])

    def test_within_an_epoch_of_several_steps(self):
        ended = self.interrupt(7, "--batch_size=64", "--quiet")
        self.assertEqual(5, ended.code)
        self.assertEqual("", ended.out)
        # Step 6 is not at an epoch's end, and epoch 1 was not due for a checkpoint.
        self.assertEqual(
            "error: interrupted; no checkpoint was saved yet. The same command starts anew.\n", ended.err
        )
        self.assert_done(tiny(self.folder, "--epochs=4", "--batch_size=64", "--quiet"))
        self.assertEqual(list(range(1, 17)), [row["step"] for row in steps_of(self.folder)])

    def test_before_training(self):
        with mock.patch("tf_fullbatch.composition.load_splits", side_effect=KeyboardInterrupt):
            ended = tiny(self.folder)
        self.assert_refused(ended, "interrupted", "same command", code=5)
        self.assertEqual({}, contents(self.folder))


if __name__ == "__main__":
    unittest.main()
