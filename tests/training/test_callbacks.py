"""What the callbacks write and when: records, evaluations, averages, checkpoints, histograms, profiles."""

import tempfile
from types import SimpleNamespace
from unittest import mock

import numpy as np
import tensorflow as tf

from tests.rows import read_rows, table_of
from tests.training.tiny import SAMPLES, build_training, data
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.summary import best_evaluation
from tf_fullbatch.training.callbacks import AverageUpdate, Evaluator, Histograms, Profiler, Progress, Recorder


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
        model.stop_training = False
        model.evaluate_batches = lambda _: dict(zip(("accuracy", "loss"), next(figures), strict=True))
        defaults = {
            "splits": {"validation": [0] * 7},
            "every": 1,
            "ends": [99],
            "average": None,
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
        callbacks = [
            recorder,
            AverageUpdate(ema),
            Progress(self.progress),
            Histograms(self.writer, 2),
            profiler,
        ]
        batches = UpdateBatches(*data(), batch_size=16, chunk_micro_batches=1)
        with mock.patch.object(tf.profiler.experimental, "stop") as stop:
            model.fit(batches, epochs=3, verbose=0, callbacks=callbacks)
        profiler._start.assert_called_once_with("profiles")
        stop.assert_called_once_with()
        self.assertEqual([], model.chunk_listeners)

        rows = read_rows(self.run_folder.metrics, STEP_COLUMNS)
        self.assertEqual([1, 2, 3, 4, 5, 6], [row["step"] for row in rows])
        self.assertEqual([116, 122, 138, 144, 160, 166], [row["samples_seen"] for row in rows])
        self.assertAllClose([0.5, 1, 1.5, 2, 2.5, 3], [row["epoch"] for row in rows])
        self.assertTrue(all(row["wall_seconds"] > 1000 for row in rows))
        self.assertEqual(rows, [r for call in self.writer.write_steps.call_args_list for r in call.args[0]])
        self.assertEqual(3, int(ema.updates.numpy()))
        self.assertEqual([4], [call.args[0] for call in self.writer.write_histograms.call_args_list])
        shown = [call.args[0]["step"] for call in self.progress.update.call_args_list]
        self.assertEqual([1, 2, 3, 4, 5, 6], shown)
        self.assertEqual(
            [(1, 2), (2, 2), (1, 1)] * 3, [c.args for c in self.progress.update_part.call_args_list]
        )
        self.assertEqual(SAMPLES, 22)

    def test_several_steps_of_one_call(self):
        steps = [
            {"step": k, "epoch": k / 4, "samples": 8, "loss": 1 / k, "clipped": 1.0, "step_seconds": 0.5}
            for k in range(1, 5)
        ]
        recorder = self.recorder(samples_seen=100, wall_seconds=1000.0)
        recorder.set_model(SimpleNamespace(last_steps=steps, last_step=steps[-1]))
        recorder.on_train_batch_end(3)
        rows = read_rows(self.run_folder.metrics, STEP_COLUMNS)
        self.assertEqual([1, 2, 3, 4], [row["step"] for row in rows])
        self.assertEqual([108, 116, 124, 132], [row["samples_seen"] for row in rows])
        self.assertAllClose([0.5] * 3, np.diff([row["wall_seconds"] for row in rows]))
        self.assertEqual(132, recorder.samples_seen)
        self.assertEqual(1, self.writer.write_steps.call_count)
        self.assertEqual(8, steps[0]["samples"])  # the model's own figures stay as they were

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
        evaluator = self.evaluator(model, [(0.5, 1.0)] * 9, every=3, ends=[8])
        for epoch in range(8):
            evaluator.on_epoch_end(epoch)
        rows = read_rows(self.run_folder.evaluations, EVALUATION_COLUMNS)
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
        rows = read_rows(self.run_folder.evaluations, EVALUATION_COLUMNS)
        self.assertEqual(2, best_evaluation(table_of(rows, EVALUATION_COLUMNS))["step"])

    def test_the_test_split_never_chooses(self):
        evaluator = self.evaluator(SimpleNamespace(steps_completed=1), [(0.9, 0.1)], splits={"test": [0]})
        evaluator.on_epoch_end(0)
        self.assertEqual(((0.0, 0.0, 0), False), (evaluator.best, evaluator.improved))

    def test_averaged_weights_are_evaluated_beside_the_raw_ones(self):
        model, ema, _ = build_training()
        ema.update()
        swapped = []
        evaluator = self.evaluator(model, [(0.1, 1.0), (0.2, 1.0)], average=ema)
        given = model.evaluate_batches
        model.evaluate_batches = lambda samples: (swapped.append(ema.swapped), given(samples))[1]
        records = evaluator.evaluate(1.0)
        self.assertEqual([("raw", 0.1), ("ema", 0.2)], [(r["weights"], r["accuracy"]) for r in records])
        self.assertEqual([False, True], swapped)
        self.assertFalse(ema.swapped)


if __name__ == "__main__":
    tf.test.main()
