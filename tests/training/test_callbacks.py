"""What the callbacks write and when: records, evaluations, averages, checkpoints, histograms, profiles."""

import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import tensorflow as tf

from tests.training.tiny import SAMPLES, build_training, data
from tf_fullbatch.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.data.pipeline import UpdateBatches
from tf_fullbatch.records import RunFolder, read_csv
from tf_fullbatch.reporting.summary import best_evaluation
from tf_fullbatch.training.callbacks import (
    Checkpointer,
    EmaUpdate,
    Evaluator,
    Histograms,
    Profiler,
    Progress,
    Recorder,
)
from tf_fullbatch.training.checkpoints import list_checkpoints, load_checkpoint


class CallbacksTestCase(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.run_folder = RunFolder(self.enterContext(tempfile.TemporaryDirectory()))
        self.writer = mock.Mock()
        self.progress = mock.Mock()

    def recorder(self, **options) -> Recorder:
        defaults = {"resume_step": 0, "samples_seen": 0, "wall_seconds": 0.0}
        recorder = Recorder(self.run_folder, self.writer, **(defaults | options))
        self.addCleanup(recorder.close)
        return recorder

    def evaluator(self, model, results, **options) -> Evaluator:
        """An evaluator of one validation split whose model gives (accuracy, loss) after (accuracy, loss)."""
        figures = iter(results)
        model.evaluate_batches = lambda _: dict(zip(("accuracy", "loss"), next(figures), strict=True))
        defaults = {
            "splits": {"validation": [0] * 7},
            "every": 1,
            "epochs": 99,
            "ema": None,
            "resume_step": 0,
            "best": (0.0, 0.0, 0),
        }
        evaluator = Evaluator(self.run_folder, self.writer, self.progress, **(defaults | options))
        evaluator.set_model(model)
        self.addCleanup(evaluator.close)
        return evaluator


class TrainingTest(CallbacksTestCase):
    def test_three_epochs_of_two_steps(self):
        model, ema, _ = build_training()
        recorder = self.recorder(samples_seen=100, wall_seconds=1000.0)
        profiler = Profiler("profiles", 2, 3, start=mock.Mock())
        callbacks = [recorder, EmaUpdate(ema), Progress(self.progress), Histograms(self.writer, 2), profiler]
        batches = UpdateBatches(*data(), batch_size=16, micro_batch_size=8, chunk_micro_batches=1)
        with mock.patch.object(tf.profiler.experimental, "stop") as stop:
            model.fit(batches, epochs=3, verbose=0, callbacks=callbacks)
        profiler._start.assert_called_once_with("profiles")
        stop.assert_called_once_with()
        self.assertEqual([], model.chunk_listeners)

        rows = read_csv(self.run_folder.metrics, STEP_COLUMNS)
        self.assertEqual([1, 2, 3, 4, 5, 6], [row["step"] for row in rows])
        self.assertEqual([116, 122, 138, 144, 160, 166], [row["samples_seen"] for row in rows])
        self.assertAllClose([0.5, 1, 1.5, 2, 2.5, 3], [row["epoch"] for row in rows])
        self.assertTrue(all(row["wall_seconds"] > 1000 for row in rows))
        self.assertEqual(rows, [call.args[0] for call in self.writer.write_step.call_args_list])
        self.assertEqual(3, int(ema.updates.numpy()))
        self.assertEqual([4], [call.args[0] for call in self.writer.write_histograms.call_args_list])
        shown = [call.args[0]["step"] for call in self.progress.update.call_args_list]
        self.assertEqual([1, 2, 3, 4, 5, 6], shown)
        self.assertEqual(
            [(1, 2), (2, 2), (1, 1)] * 3, [c.args for c in self.progress.update_chunk.call_args_list]
        )
        self.assertEqual(SAMPLES, 22)

    def test_a_profile_is_ended_with_training_and_not_begun_too_late(self):
        for first, last, steps, calls in ((1, 9, 2, 1), (5, 9, 2, 0), (2, 2, 4, 1)):
            with self.subTest(first=first), mock.patch.object(tf.profiler.experimental, "stop") as stop:
                profiler = Profiler("profiles", first, last, start=mock.Mock())
                profiler.set_model(SimpleNamespace(steps_completed=0))
                for step in range(steps):
                    profiler.on_train_batch_begin(step)
                    profiler.model.steps_completed = step + 1
                    profiler.on_train_batch_end(step)
                profiler.on_train_end()
                profiler.on_train_end()
                self.assertEqual((calls, calls), (profiler._start.call_count, stop.call_count))


class EvaluatorTest(CallbacksTestCase):
    def test_cadence_and_last_epoch(self):
        model = SimpleNamespace(steps_completed=10)
        evaluator = self.evaluator(model, [(0.5, 1.0)] * 9, every=3, epochs=8)
        for epoch in range(8):
            evaluator.on_epoch_end(epoch)
        rows = read_csv(self.run_folder.evaluations, EVALUATION_COLUMNS)
        self.assertEqual([3, 6, 8], [row["epoch"] for row in rows])
        self.assertEqual(
            {(10, "validation", "raw", 7)},
            {(r["step"], r["split"], r["weights"], r["samples"]) for r in rows},
        )

    def test_the_best_is_the_first_of_the_highest(self):
        model = SimpleNamespace(steps_completed=0)
        accuracies = [0.5, 0.5, 0.4, float("nan"), 0.6]
        evaluator = self.evaluator(model, [(a, 1.0) for a in accuracies], best=(-0.45, 1.0, 0))
        improved = []
        for epoch in range(5):
            evaluator.on_epoch_end(epoch)
            improved.append(evaluator.improved)
        self.assertEqual([True, False, False, False, True], improved)
        self.assertEqual((-0.6, 1.0, 0), evaluator.best)

    def test_a_tie_in_accuracy_goes_to_the_lower_loss_as_in_the_summary(self):
        model = SimpleNamespace(steps_completed=0)
        evaluator = self.evaluator(model, [(0.9, 0.5), (0.9, 0.3), (0.9, 0.4)], best=None)
        improved = []
        for epoch in range(3):
            model.steps_completed = epoch + 1
            evaluator.on_epoch_end(epoch)
            improved.append(evaluator.improved)
        self.assertEqual([True, True, False], improved)
        rows = read_csv(self.run_folder.evaluations, EVALUATION_COLUMNS)
        self.assertEqual(2, best_evaluation(rows)["step"])

    def test_the_test_split_never_chooses(self):
        evaluator = self.evaluator(SimpleNamespace(steps_completed=1), [(0.9, 0.1)], splits={"test": [0]})
        evaluator.on_epoch_end(0)
        self.assertEqual(((0.0, 0.0, 0), False), (evaluator.best, evaluator.improved))

    def test_averaged_weights_are_evaluated_beside_the_raw_ones(self):
        model, ema, _ = build_training()
        ema.update()
        swapped = []
        evaluator = self.evaluator(model, [(0.1, 1.0), (0.2, 1.0)], ema=ema)
        given = model.evaluate_batches
        model.evaluate_batches = lambda samples: (swapped.append(ema.swapped), given(samples))[1]
        records = evaluator.evaluate(1.0)
        self.assertEqual([("raw", 0.1), ("ema", 0.2)], [(r["weights"], r["accuracy"]) for r in records])
        self.assertEqual([False, True], swapped)
        self.assertFalse(ema.swapped)


class CheckpointerTest(CallbacksTestCase):
    def checkpointer(self, accuracies, **options):
        model = SimpleNamespace(steps_completed=0)
        evaluator = self.evaluator(model, [(a, 1.0) for a in accuracies])
        state = SimpleNamespace(capture=lambda: {"step": np.array(model.steps_completed)})
        defaults = {"every": 3, "epochs": 8, "keep": 2, "best_step": None}
        checkpointer = Checkpointer(
            self.run_folder, state, self.recorder(samples_seen=5), evaluator, **(defaults | options)
        )
        checkpointer.set_model(model)
        return model, evaluator, checkpointer

    def train(self, epochs, model, evaluator, checkpointer):
        """Ends epochs of two steps each."""
        for epoch in range(epochs):
            model.steps_completed += 2
            evaluator.on_epoch_end(epoch)
            checkpointer.on_epoch_end(epoch)

    def saved(self) -> list[int]:
        return [load_checkpoint(path).step for path in list_checkpoints(self.run_folder.checkpoints)]

    def test_cadence_best_and_last(self):
        # The best so far is saved when it comes (epochs 1 and 2), and stays while newer ones go.
        parts = self.checkpointer([0.1, 0.9, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2])
        self.train(8, *parts)
        self.assertEqual([16, 12, 4], self.saved())
        newest = load_checkpoint(list_checkpoints(self.run_folder.checkpoints)[0])
        self.assertEqual((8, 16), (newest.epoch, int(newest.arrays["step"])))
        self.assertEqual({"samples_seen": 5, "best_step": 4}, {
            name: newest.metadata[name] for name in ("samples_seen", "best_step")
        })  # fmt: skip
        self.assertEqual(-0.9, newest.metadata["best"][0])

    def test_a_resumed_run_keeps_the_best_of_before(self):
        parts = self.checkpointer([0.1] * 8, keep=1)
        self.train(1, *parts)
        evaluator = self.evaluator(parts[0], [(0.1, 1.0)] * 8, best=(-0.1, 1.0, 0))
        again = Checkpointer(
            self.run_folder,
            parts[2]._state,
            self.recorder(),
            evaluator,
            every=1,
            epochs=8,
            keep=1,
            best_step=2,
        )
        again.set_model(parts[0])
        for epoch in range(1, 4):
            parts[0].steps_completed += 2
            evaluator.on_epoch_end(epoch)
            again.on_epoch_end(epoch)
        self.assertEqual([8, 2], self.saved())

    def test_an_early_end_saves_the_last_epoch_where_the_state_is_still_its_own(self):
        model, evaluator, checkpointer = self.checkpointer([0.0] * 8)
        checkpointer.save_last_epoch()
        self.assertEqual([], self.saved())  # nothing was trained
        self.train(2, model, evaluator, checkpointer)
        model.steps_completed += 1  # a step into epoch 3
        checkpointer.save_last_epoch()
        self.assertEqual([], self.saved())
        model.steps_completed -= 1
        checkpointer.save_last_epoch()
        self.assertEqual([4], self.saved())
        self.assertEqual(2, load_checkpoint(list_checkpoints(self.run_folder.checkpoints)[0]).epoch)

    def test_a_saved_epoch_is_not_saved_again(self):
        parts = self.checkpointer([0.0] * 8)
        self.train(3, *parts)
        (path,) = list_checkpoints(self.run_folder.checkpoints)
        before = Path(path / "manifest.json").stat().st_ino
        parts[2].save_last_epoch()
        self.assertEqual(before, Path(path / "manifest.json").stat().st_ino)


if __name__ == "__main__":
    tf.test.main()
