"""Runs with each loss, and with several augmented copies of a sample: recorded, resumed, the same in any chunks."""

import math

import numpy as np

from tests.command import CommandTestCase, Ended, command, steps_of
from tf_fullbatch import open_run
from tf_fullbatch.optim.losses.registry import LOSSES
from tf_fullbatch.records.checkpoints import load_latest

_SHORT = ("--model=linear", "--train_size=100", "--micro_batch_size=40", "--noevaluate_test")


class LossesTest(CommandTestCase):
    draws_curves = False

    def short(self, name: str, *arguments: str) -> Ended:
        return command(*_SHORT, f"--output_dir={self.folder / name}", *arguments)

    def test_each_trains_by_its_name(self) -> None:
        for name in sorted(set(LOSSES) - {"cross_entropy"}):
            self.assert_done(self.short(name, f"--loss={name}", "--epochs=2", "--learning_rate=0.02"))
            first, second = steps_of(self.folder / name)
            self.assertLess(second["loss"], first["loss"], name)
            recorded = name in ("focal", "incorrect_only")
            self.assertEqual(recorded, first.get("cross_entropy") is not None, name)
        opened = open_run(self.folder / "focal")
        self.assertEqual(2.0, opened.loss.gamma)

    def test_smoothing_over_the_others_is_more_of_the_same(self) -> None:
        shared = ("--epochs=2", "--deterministic")
        self.assert_done(
            self.short("others", *shared, "--label_smoothing=0.18", "--label_smoothing_form=others")
        )
        self.assert_done(self.short("uniform", *shared, "--label_smoothing=0.2"))
        for one, other in zip(
            steps_of(self.folder / "others"), steps_of(self.folder / "uniform"), strict=True
        ):
            self.assertAlmostEqual(one["loss"], other["loss"], delta=1e-6)
            self.assertNotAlmostEqual(one["loss"], one["cross_entropy"], delta=1e-2)

    def test_copies_are_the_same_in_any_chunks_and_resumed(self) -> None:
        flags = ("--augmentation=crop", "--max_up=3", "--schedule_epochs=3", "--deterministic")
        self.assert_done(self.short("whole", "--epochs=3", *flags))
        self.assert_done(self.short("parts", "--epochs=1", *flags))
        self.assert_done(
            self.short("parts", "--epochs=3", *flags, "--chunk_micro_batches=1", "--data_on_device=off")
        )
        steps = steps_of(self.folder / "whole")
        self.assertEqual(steps, steps_of(self.folder / "parts"))
        self.assertEqual([3.0] * 3, [step["gradient_evaluations"] for step in steps])
        one, other = (load_latest(self.folder / name / "checkpoints")[0] for name in ("whole", "parts"))
        np.testing.assert_equal(one.arrays, other.arrays)
        self.assert_done(self.short("plain", "--epochs=1", *flags, "--max_up=1"))
        (plain,) = steps_of(self.folder / "plain")
        self.assertGreater(steps[0]["loss"], plain["loss"])
        self.assertTrue(math.isclose(plain["gradient_evaluations"], 1))

    def test_refused_before_training(self) -> None:
        for flags, words in (
            (("--max_up=3",), "--max_up=3 takes augmented copies"),
            (
                ("--augmentation=crop1", "--max_up=3", "--augment_copies=2", "--copies_in_turn"),
                "--max_up=3 with --augment_copies=2: there are no 3 different copies",
            ),
            (
                ("--loss=focal", "--label_smoothing=0.1"),
                "--label_smoothing=0.1 has no effect with --loss=focal",
            ),
            (("--focal_gamma=1",), "--focal_gamma=1.0 has no effect with --loss=cross_entropy"),
            (("--label_smoothing_form=others",), "has no effect without --label_smoothing"),
            (("--loss=focal", "--focal_gamma=-1"), "--focal_gamma=-1.0: must be at least 0"),
        ):
            self.assert_refused(self.short("run", *flags), words)
        self.assertFalse((self.folder / "run").exists())
