"""TensorBoard's own reader on the event files: tags, values, steps, descriptions, restarts."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from tf_fullbatch.display.sinks import MOST_PER_EPOCH
from tf_fullbatch.display.step_axes import Position
from tf_fullbatch.display.tensorboard import CLIPPED_TAG, TAGS, TensorBoardWriter, code_block
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.columns import STEP_COLUMNS


def record(step: int, **more: float) -> dict[str, float]:
    return {
        "step": step,
        "epoch": float(step),
        "loss": 1 / step,
        "accuracy": 0.5,
        "clipped": step % 2,
        **more,
    }


def evaluation(step: int, split: str = "validation", weights: str = "raw", **more: float) -> dict:
    return {"step": step, "split": split, "weights": weights, "loss": 2 / step, "accuracy": 0.25, **more}


class TensorBoardTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "run" / "summaries"

    def writer(self, **options: object) -> TensorBoardWriter:
        writer = TensorBoardWriter(self.folder, **options)
        self.addCleanup(writer.close)
        return writer

    def read(self, run: str) -> EventAccumulator:
        accumulator = EventAccumulator(str(self.folder / run), size_guidance={"tensors": 0})
        return accumulator.Reload()

    def points(self, run: str, tag: str) -> list[tuple[int, float]]:
        events = self.read(run).Tensors(tag)
        return [(event.step, tensor_util.make_ndarray(event.tensor_proto).item()) for event in events]

    def texts(self, tag: str) -> list[tuple[int, bytes]]:
        events = self.read(".").Tensors(tag)
        return [(event.step, tensor_util.make_ndarray(event.tensor_proto).item()) for event in events]

    def test_step_values_come_back_under_their_tags(self):
        values = {column.name: 0.5 + number for number, column in enumerate(STEP_COLUMNS)}
        writer = self.writer()
        writer.write_steps([{**values, "step": 7, "clipped": 1}])
        writer.close()
        tags = {tag: values[name] for name, tag in TAGS.items() if name in values}
        for tag, value in tags.items():
            self.assertEqual(self.points("train", tag), [(7, value)])
        self.assertEqual(set(self.read("train").Tags()["tensors"]), {*tags, CLIPPED_TAG})

    def test_tags_have_the_columns_descriptions_as_scalars(self):
        writer = self.writer()
        writer.write_steps([record(1)])
        writer.write_steps([record(2)])
        writer.close()
        descriptions = {column.name: column.description for column in STEP_COLUMNS}
        metadata = self.read("train").SummaryMetadata("loss")
        self.assertEqual(metadata.summary_description, descriptions["loss"])
        self.assertEqual(metadata.plugin_data.plugin_name, "scalars")

    def test_splits_share_tags_and_weights_have_their_own_run(self):
        writer = self.writer()
        writer.write_steps([record(5)])
        for split in ("validation", "test"):
            for weights in ("raw", "ema"):
                writer.write_evaluation(evaluation(5, split, weights))
        for run in ("validation", "validation-ema", "test", "test-ema"):
            self.assertEqual(self.points(run, "loss"), [(5, np.float32(0.4))])
            self.assertEqual(self.points(run, "accuracy"), [(5, 0.25)])
        self.assertEqual(self.points("train", "accuracy"), [(5, 0.5)])

    def test_blanks_are_left_out_and_nan_is_kept(self):
        self.writer().write_steps([{"step": 1, "loss": None, "accuracy": float("nan")}])
        self.assertEqual(self.read("train").Tags()["tensors"], ["accuracy"])
        self.assertTrue(np.isnan(self.points("train", "accuracy")[0][1]))

    def test_clipped_fraction_is_over_the_last_hundred_updates(self):
        writer = self.writer()
        for step in range(1, 251):
            writer.write_steps([{"step": step, "clipped": int(step <= 100)}])
        writer.close()
        fraction = dict(self.points("train", CLIPPED_TAG))
        self.assertEqual([fraction[step] for step in (1, 100, 150, 200, 250)], [1, 1, 0.5, 0, 0])

    def test_clipped_fraction_goes_on_after_a_resume(self):
        writer = self.writer(resumed=Position(step=200), recent_clipped=[1] * 200)
        writer.write_steps([{"step": 201, "clipped": 0}])
        self.assertEqual(self.points("train", CLIPPED_TAG), [(201, np.float32(0.99))])

    def test_resumed_steps_appear_once_with_the_newer_value(self):
        first = self.writer()
        for step in range(1, 8):
            first.write_steps([record(step, loss=1.0)])
            first.write_evaluation(evaluation(step, loss=1.0))
        first.close()
        second = self.writer(resumed=Position(step=4))
        for step in range(5, 7):
            second.write_steps([record(step, loss=2.0)])
        second.close()
        newer = [(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 2.0), (6, 2.0)]
        self.assertEqual(self.points("train", "loss"), newer)
        # The second process evaluated nothing, and still the first one's later points are gone.
        self.assertEqual(self.points("validation", "loss"), newer[:4])

    def test_many_restarts_within_a_second_stay_in_order(self):
        for start in range(12):
            writer = self.writer(resumed=Position(step=start), clock=lambda: 1000.0)
            writer.write_steps([record(start + 1, loss=float(start))])
            writer.write_steps([record(start + 2, loss=-1.0)])
            writer.close()
        expected = [(step, float(step - 1)) for step in range(1, 13)] + [(13, -1.0)]
        self.assertEqual(self.points("train", "loss"), expected)

    def test_event_cut_short_by_a_killed_process_loses_nothing_else(self):
        first = self.writer()
        first.write_steps([record(1, loss=1.0)])
        first.write_steps([record(2, loss=1.0)])
        first.close()
        [file] = (self.folder / "train").iterdir()
        file.write_bytes(file.read_bytes()[:-5])
        second = self.writer(resumed=Position(step=1))
        second.write_steps([record(2, loss=2.0)])
        second.close()
        self.assertEqual(self.points("train", "loss"), [(1, 1.0), (2, 2.0)])

    def test_steps_within_an_epoch_are_thinned_out_and_its_end_never_is(self):
        # 1,001 samples in batches of 5: the last of an epoch's 201 steps has one.
        samples, batch, per_epoch = 1001, 5, 201
        steps = [
            record(step, epoch=step // per_epoch + min(step % per_epoch * batch, samples) / samples)
            for step in range(1, 3 * per_epoch + 1)
        ]
        whole = self.writer()
        for first in range(0, len(steps), 20):
            whole.write_steps(steps[first : first + 20])
        whole.close()
        drawn = [step for step, _ in self.points("train", "loss")]
        within = [k for k in range(1, per_epoch) if k % 5 == 0]
        self.assertLessEqual(len(within), MOST_PER_EPOCH)
        expected = [epoch * per_epoch + k for epoch in range(3) for k in (*within, per_epoch)]
        self.assertEqual(drawn, expected)
        self.assertEqual(
            dict(self.points("train", CLIPPED_TAG))[603], 0.5
        )  # of steps that were not drawn too
        resumed = self.writer(resumed=Position(step=230))
        resumed.write_steps(steps[230:])
        resumed.close()
        self.assertEqual([step for step, _ in self.points("train", "loss")], expected)

    def test_short_epochs_are_drawn_whole(self):
        writer = self.writer()
        writer.write_steps(record(step, epoch=step / 50) for step in range(1, 101))
        writer.close()
        self.assertEqual([step for step, _ in self.points("train", "loss")], list(range(1, 101)))

    def test_full_batch_steps_are_all_drawn(self):
        writer = self.writer()
        writer.write_steps(record(step, wall_seconds=step / 5000) for step in range(1, 101))
        writer.close()
        self.assertEqual([step for step, _ in self.points("train", "loss")], list(range(1, 101)))

    def test_config_of_each_start_appears_once(self):
        for start, text in ((0, "a"), (0, "b"), (5, "c"), (5, "d")):
            writer = self.writer(resumed=Position(step=start))
            writer.write_config(code_block(text), "config.json")
            writer.close()
        self.assertEqual(self.texts("config.json"), [(1, b"```json\nb\n```"), (6, b"```json\nd\n```")])

    def test_further_axes_have_runs_of_their_own(self):
        writer = self.writer(axes=("step", "passes", "gradient_evaluations"))
        # 10 samples, two steps per pass of 6 and 4; the second spends 3 evaluations per sample.
        writer.write_steps([self.sgd(1, 0.5, 6, 1.0), self.sgd(2, 1.0, 10, 3.0)])
        writer.write_evaluation(evaluation(2, epoch=1.0))
        writer.write_steps([self.sgd(3, 1.5, 16, 4 / 3)])
        writer.close()
        self.assertEqual([step for step, _ in self.points("train", "loss")], [1, 2, 3])
        self.assertEqual(self.points("train-by_passes", "loss"), [(1, 0.5)])
        spent = [step for step, _ in self.points("train-by_gradient_evaluations", "loss")]
        self.assertEqual(spent, [6, 6 + 4 * 3, 6 + 4 * 3 + 8])
        self.assertEqual(
            [step for step, _ in self.points("validation-by_gradient_evaluations", "loss")], [18]
        )
        self.assertEqual([step for step, _ in self.points("validation-by_passes", "accuracy")], [1])
        self.assertEqual(set(self.read("train-by_passes").Tags()["tensors"]), {"loss", "accuracy"})

    def test_further_axes_go_on_after_a_resume(self):
        axes = ("step", "passes", "gradient_evaluations")
        steps = [self.sgd(step, step / 2, 5 * step, 2.0) for step in range(1, 9)]
        first = self.writer(axes=axes)
        first.write_steps(steps)
        first.write_evaluation(evaluation(8, epoch=4.0))
        first.close()
        place = Position(step=5, epoch=2.5, samples_seen=25, gradient_evaluations=50.0)
        second = self.writer(axes=axes, resumed=place)
        self.assertEqual([p for p, _ in self.points("train-by_passes", "loss")], [1, 2])
        self.assertEqual(
            [p for p, _ in self.points("train-by_gradient_evaluations", "loss")], [10, 20, 30, 40, 50]
        )
        self.assertEqual([], self.points("validation-by_passes", "loss"))
        second.write_steps(steps[5:])
        second.close()
        self.assertEqual([p for p, _ in self.points("train-by_passes", "loss")], [1, 2, 3, 4])
        spent = [p for p, _ in self.points("train-by_gradient_evaluations", "loss")]
        self.assertEqual(spent, [10, 20, 30, 40, 50, 60, 70, 80])

    @staticmethod
    def sgd(step: int, epoch: float, samples_seen: int, evaluations: float) -> dict[str, float]:
        return record(step, epoch=epoch, samples_seen=samples_seen, gradient_evaluations=evaluations)

    def test_histograms(self):
        writer = self.writer()
        writer.write_histograms(3, {"kernel": np.array([[0.0, 1.0], [1.0, 3.0]])})
        writer.close()
        [event] = self.read("train").Tensors("weights/kernel")
        self.assertEqual(event.step, 3)
        self.assertEqual(tensor_util.make_ndarray(event.tensor_proto)[:, 2].sum(), 4)

    def test_points_are_on_disk_without_close(self):
        writer = self.writer()
        writer.write_steps([record(1)])
        self.assertEqual(len(self.points("train", "loss")), 1)
        writer.write_steps([record(2)])
        writer.flush()
        self.assertEqual(len(self.points("train", "loss")), 2)

    def test_folder_that_cannot_be_made(self):
        self.folder.parent.mkdir()
        self.folder.write_text("")
        with self.assertRaisesRegex(UserError, "cannot write .*summaries.*(Not a directory|File exists)"):
            self.writer().write_steps([record(1)])


class ImportTest(unittest.TestCase):
    def test_nothing_here_loads_tensorflow(self):
        code = (
            "import sys, tempfile\n"
            "from tf_fullbatch import records\n"
            "from tf_fullbatch.display import curves, progress, tensorboard, text\n"
            "with tempfile.TemporaryDirectory() as folder:\n"
            "    writer = tensorboard.TensorBoardWriter(folder)\n"
            "    writer.write_hparams({'seed': 1}); writer.write_config('x')\n"
            "    writer.write_steps([{'step': 1, 'loss': 1.0}]); writer.write_histograms(1, {'a': [1.0]})\n"
            "    writer.close()\n"
            "sys.exit(any(name.split('.')[0] in ('tensorflow', 'keras') for name in sys.modules))\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    unittest.main()
