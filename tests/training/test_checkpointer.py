"""When a run's state is saved: cadences, the best, the last step, and what is pending after an interruption."""

import tempfile
from types import SimpleNamespace
from unittest import mock

import numpy as np
import tensorflow as tf

from tf_fullbatch.records.checkpoints import list_checkpoints, load_checkpoint
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.training import checkpointer as checkpointer_module
from tf_fullbatch.training.checkpointer import Checkpointer

STEPS = 2
"""Steps an epoch."""


class CheckpointerTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = RunFolder(self.enterContext(tempfile.TemporaryDirectory()))
        self.model = SimpleNamespace(steps_completed=0, last_step={}, last_steps=[{}], stop_training=False)
        self.evaluator = SimpleNamespace(improved=False, best=None)

    def checkpointer(self, **options) -> Checkpointer:
        state = SimpleNamespace(capture=lambda: {"step": np.array(self.model.steps_completed)})
        recorder = SimpleNamespace(samples_seen=5, wall_seconds=1.5, flush=lambda: None)
        defaults = {"every_steps": 6, "every_seconds": None, "ends": [8], "keep": 2, "best_step": None}
        made = Checkpointer(self.folder, state, recorder, self.evaluator, **(defaults | options))
        made.set_model(self.model)
        made.set_params({"steps": STEPS})
        return made

    def step(self, checkpointer: Checkpointer) -> int:
        """Completes a step; returns its place in its epoch."""
        place = self.model.steps_completed % STEPS
        self.model.steps_completed += 1
        self.model.last_step = {"epoch": self.model.steps_completed / STEPS}
        checkpointer.on_train_batch_end(place)
        return place

    def train(self, checkpointer: Checkpointer, steps: int, improving: tuple[int, ...] = ()) -> None:
        """Completes steps, and the epochs they end; those in `improving` are the best so far."""
        for _ in range(steps):
            if self.step(checkpointer) == STEPS - 1:
                epoch = self.model.steps_completed // STEPS - 1
                self.evaluator.improved = epoch + 1 in improving
                checkpointer.on_epoch_end(epoch)

    def saved(self) -> list[int]:
        return [load_checkpoint(path).step for path in list_checkpoints(self.folder.checkpoints)]

    def newest(self) -> tuple[float, bool]:
        """(epoch, whether it was ended) of the newest checkpoint."""
        newest = load_checkpoint(list_checkpoints(self.folder.checkpoints)[0])
        self.assertEqual(newest.step, int(newest.arrays["step"]))
        return newest.epoch, newest.metadata["epoch_ended"]

    def test_a_cadence_that_falls_within_several_steps_of_one_call(self):
        checkpointer = self.checkpointer(every_steps=6, ends=[99])
        checkpointer.set_params({"steps": 1000})
        saved = []
        for made in (4, 4, 3, 1, 2):
            self.model.steps_completed += made
            self.model.last_step = {"epoch": self.model.steps_completed / 1000}
            self.model.last_steps = [self.model.last_step] * made
            checkpointer.on_train_batch_end(self.model.steps_completed - 1)
            saved.append(self.saved()[:1])
        self.assertEqual([[], [8], [8], [12], [12]], saved)

    def test_cadence_best_and_last(self):
        # The best so far is saved when it comes (epochs 1 and 2), and stays while newer ones go.
        self.train(self.checkpointer(), 16, improving=(1, 2))
        self.assertEqual([16, 12, 4], self.saved())
        newest = load_checkpoint(list_checkpoints(self.folder.checkpoints)[0])
        self.assertEqual((8, 16), (newest.epoch, int(newest.arrays["step"])))
        expected = {
            "measured_step": None,
            "samples_seen": 5,
            "wall_seconds": 1.5,
            "best": None,
            "goals": None,
            "best_step": 4,
            "epoch_ended": True,
        }
        self.assertEqual(expected, newest.metadata)

    def test_steps_within_an_epoch(self):
        checkpointer = self.checkpointer(every_steps=3, keep=9)
        self.train(checkpointer, 3)
        self.assertEqual([3], self.saved())
        self.assertEqual((1.5, True), self.newest())
        self.train(checkpointer, 6)
        self.assertEqual([9, 6, 3], self.saved())

    def test_what_is_due_with_an_epochs_last_step_is_saved_after_its_evaluation(self):
        checkpointer = self.checkpointer(every_steps=1, keep=9)
        self.train(checkpointer, 1)
        self.step(checkpointer)
        self.assertEqual([1], self.saved())
        checkpointer.on_epoch_end(0)
        self.assertEqual([2, 1], self.saved())

    def test_minutes(self):
        with mock.patch.object(checkpointer_module.time, "monotonic") as clock:
            clock.return_value = 100.0
            checkpointer = self.checkpointer(every_steps=None, every_seconds=60.0, keep=9)
            for now in (130.0, 160.0, 161.0, 219.0, 220.0):
                clock.return_value = now
                self.train(checkpointer, 1)
        self.assertEqual([5, 2], self.saved())

    def test_a_resumed_run_keeps_the_best_of_before(self):
        self.train(self.checkpointer(every_steps=2, keep=1), 2, improving=(1,))
        self.train(self.checkpointer(every_steps=2, keep=1, best_step=2), 6)
        self.assertEqual([8, 2], self.saved())

    def test_an_early_end_saves_the_last_completed_step_once(self):
        checkpointer = self.checkpointer(keep=9)
        checkpointer.save()
        self.assertEqual([], self.saved())  # nothing was trained
        self.train(checkpointer, 5)
        checkpointer.save()
        self.assertEqual([5], self.saved())
        self.assertEqual((2.5, True), self.newest())
        with mock.patch.object(checkpointer_module, "save_checkpoint") as save:
            checkpointer.save()
            save.assert_not_called()

    def test_an_epoch_that_was_not_evaluated_is_marked(self):
        checkpointer = self.checkpointer()
        self.train(checkpointer, 3)
        self.step(checkpointer)  # and the evaluation of epoch 2 is interrupted
        checkpointer.save()
        self.assertEqual((2.0, False), self.newest())


if __name__ == "__main__":
    tf.test.main()
