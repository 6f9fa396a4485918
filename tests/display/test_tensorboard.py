"""TensorBoard's own reader on the event files: tags, values, steps, descriptions, restarts."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.util import tensor_util

from tf_fullbatch.display.tensorboard import (
    CLIPPED_TAG,
    MOST_PER_EPOCH,
    STEP_TAGS,
    TensorBoardWriter,
    code_block,
)
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
        writer.write_step({**values, "step": 7, "clipped": 1})
        writer.close()
        for name, tag in STEP_TAGS.items():
            self.assertEqual(self.points("train", tag), [(7, values[name])])
        self.assertEqual(set(self.read("train").Tags()["tensors"]), {*STEP_TAGS.values(), CLIPPED_TAG})

    def test_tags_have_the_columns_descriptions_as_scalars(self):
        writer = self.writer()
        writer.write_step(record(1))
        writer.write_step(record(2))
        writer.close()
        descriptions = {column.name: column.description for column in STEP_COLUMNS}
        metadata = self.read("train").SummaryMetadata(STEP_TAGS["loss"])
        self.assertEqual(metadata.summary_description, descriptions["loss"])
        self.assertEqual(metadata.plugin_data.plugin_name, "scalars")

    def test_splits_share_tags_and_weights_have_their_own_run(self):
        writer = self.writer()
        writer.write_step(record(5))
        for split in ("validation", "test"):
            for weights in ("raw", "ema"):
                writer.write_evaluation(evaluation(5, split, weights))
        for run in ("validation", "validation-ema", "test", "test-ema"):
            self.assertEqual(self.points(run, STEP_TAGS["loss"]), [(5, np.float32(0.4))])
            self.assertEqual(self.points(run, STEP_TAGS["accuracy"]), [(5, 0.25)])
        self.assertEqual(self.points("train", STEP_TAGS["accuracy"]), [(5, 0.5)])

    def test_blanks_are_left_out_and_nan_is_kept(self):
        self.writer().write_step({"step": 1, "loss": None, "accuracy": float("nan")})
        self.assertEqual(self.read("train").Tags()["tensors"], [STEP_TAGS["accuracy"]])
        self.assertTrue(np.isnan(self.points("train", STEP_TAGS["accuracy"])[0][1]))

    def test_clipped_fraction_is_over_the_last_hundred_updates(self):
        writer = self.writer()
        for step in range(1, 251):
            writer.write_step({"step": step, "clipped": int(step <= 100)})
        writer.close()
        fraction = dict(self.points("train", CLIPPED_TAG))
        self.assertEqual([fraction[step] for step in (1, 100, 150, 200, 250)], [1, 1, 0.5, 0, 0])

    def test_clipped_fraction_goes_on_after_a_resume(self):
        writer = self.writer(resume_step=200, recent_clipped=[1] * 200)
        writer.write_step({"step": 201, "clipped": 0})
        self.assertEqual(self.points("train", CLIPPED_TAG), [(201, np.float32(0.99))])

    def test_resumed_steps_appear_once_with_the_newer_value(self):
        first = self.writer()
        for step in range(1, 8):
            first.write_step(record(step, loss=1.0))
            first.write_evaluation(evaluation(step, loss=1.0))
        first.close()
        second = self.writer(resume_step=4)
        for step in range(5, 7):
            second.write_step(record(step, loss=2.0))
        second.close()
        newer = [(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 2.0), (6, 2.0)]
        self.assertEqual(self.points("train", STEP_TAGS["loss"]), newer)
        # The second process evaluated nothing, and still the first one's later points are gone.
        self.assertEqual(self.points("validation", STEP_TAGS["loss"]), newer[:4])

    def test_many_restarts_within_a_second_stay_in_order(self):
        for start in range(12):
            writer = self.writer(resume_step=start, clock=lambda: 1000.0)
            writer.write_step(record(start + 1, loss=float(start)))
            writer.write_step(record(start + 2, loss=-1.0))
            writer.close()
        expected = [(step, float(step - 1)) for step in range(1, 13)] + [(13, -1.0)]
        self.assertEqual(self.points("train", STEP_TAGS["loss"]), expected)

    def test_event_cut_short_by_a_killed_process_loses_nothing_else(self):
        first = self.writer()
        first.write_step(record(1, loss=1.0))
        first.write_step(record(2, loss=1.0))
        first.close()
        [file] = (self.folder / "train").iterdir()
        file.write_bytes(file.read_bytes()[:-5])
        second = self.writer(resume_step=1)
        second.write_step(record(2, loss=2.0))
        second.close()
        self.assertEqual(self.points("train", STEP_TAGS["loss"]), [(1, 1.0), (2, 2.0)])

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
        drawn = [step for step, _ in self.points("train", STEP_TAGS["loss"])]
        within = [k for k in range(1, per_epoch) if k % 5 == 0]
        self.assertLessEqual(len(within), MOST_PER_EPOCH)
        expected = [epoch * per_epoch + k for epoch in range(3) for k in (*within, per_epoch)]
        self.assertEqual(drawn, expected)
        self.assertEqual(
            dict(self.points("train", CLIPPED_TAG))[603], 0.5
        )  # of steps that were not drawn too
        resumed = self.writer(resume_step=230)
        resumed.write_steps(steps[230:])
        resumed.close()
        self.assertEqual([step for step, _ in self.points("train", STEP_TAGS["loss"])], expected)

    def test_short_epochs_are_drawn_whole(self):
        writer = self.writer()
        writer.write_steps(record(step, epoch=step / 50) for step in range(1, 101))
        writer.close()
        self.assertEqual([step for step, _ in self.points("train", STEP_TAGS["loss"])], list(range(1, 101)))

    def test_full_batch_steps_are_all_drawn(self):
        writer = self.writer()
        writer.write_steps(record(step, wall_seconds=step / 5000) for step in range(1, 101))
        writer.close()
        self.assertEqual([step for step, _ in self.points("train", STEP_TAGS["loss"])], list(range(1, 101)))

    def test_config_of_each_start_appears_once(self):
        for start, text in ((0, "a"), (0, "b"), (5, "c"), (5, "d")):
            writer = self.writer(resume_step=start)
            writer.write_config(code_block(text), "config.json")
            writer.close()
        self.assertEqual(self.texts("config.json"), [(1, b"```json\nb\n```"), (6, b"```json\nd\n```")])

    def test_hyperparameters_and_their_results(self):
        writer = self.writer()
        values = {"lr": 0.4, "seed": 3, "shuffle": False, "model": "resnet18", "clip": None, "blocks": [2, 2]}
        writer.write_hparams(values, metrics=[("test", "accuracy"), ("train", "loss")])
        writer.write_step(record(4))
        writer.write_evaluation(evaluation(4, "test"))
        writer.write_evaluation(evaluation(4, "validation"))
        contents = self.read(".").PluginTagToContent("hparams")
        start = hparams_metadata.parse_session_start_info_plugin_data(
            contents[hparams_metadata.SESSION_START_INFO_TAG]
        )
        found = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
        self.assertEqual(found, {**values, "clip": "-", "blocks": "[2, 2]"})
        self.assertRegex(start.group_name, r"^[^/]+/run \(/.*\)$")
        experiment = hparams_metadata.parse_experiment_plugin_data(contents[hparams_metadata.EXPERIMENT_TAG])
        self.assertEqual([info.name for info in experiment.hparam_infos], list(values))
        tags = [info.name.tag for info in experiment.metric_infos]
        self.assertEqual(tags, ["5 results/test accuracy", "5 results/train loss"])
        self.assertEqual([self.points(".", tag) for tag in tags], [[(4, 0.25)], [(4, 0.25)]])
        self.assertNotIn("5 results/validation accuracy", self.read(".").Tags()["tensors"])

    def test_some_hyperparameters_alone_are_columns(self):
        writer = self.writer()
        writer.write_hparams({"lr": 0.4, "seed": 3, "momentum": 0.9}, shown=("seed", "lr"))
        contents = self.read(".").PluginTagToContent("hparams")
        experiment = hparams_metadata.parse_experiment_plugin_data(contents[hparams_metadata.EXPERIMENT_TAG])
        self.assertEqual([info.name for info in experiment.hparam_infos], ["seed", "lr"])

    def test_histograms(self):
        writer = self.writer()
        writer.write_histograms(3, {"kernel": np.array([[0.0, 1.0], [1.0, 3.0]])})
        writer.close()
        [event] = self.read("train").Tensors("6 distributions/kernel")
        self.assertEqual(event.step, 3)
        self.assertEqual(tensor_util.make_ndarray(event.tensor_proto)[:, 2].sum(), 4)

    def test_points_are_on_disk_without_close(self):
        writer = self.writer()
        writer.write_step(record(1))
        self.assertEqual(len(self.points("train", STEP_TAGS["loss"])), 1)
        writer.write_step(record(2))
        writer.flush()
        self.assertEqual(len(self.points("train", STEP_TAGS["loss"])), 2)

    def test_folder_that_cannot_be_made(self):
        self.folder.parent.mkdir()
        self.folder.write_text("")
        with self.assertRaisesRegex(UserError, "cannot write .*summaries.*(Not a directory|File exists)"):
            self.writer().write_step(record(1))


class ImportTest(unittest.TestCase):
    def test_nothing_here_loads_tensorflow(self):
        code = (
            "import sys, tempfile\n"
            "from tf_fullbatch import records\n"
            "from tf_fullbatch.display import curves, progress, tensorboard, text\n"
            "with tempfile.TemporaryDirectory() as folder:\n"
            "    writer = tensorboard.TensorBoardWriter(folder)\n"
            "    writer.write_hparams({'a': 1}); writer.write_config('x')\n"
            "    writer.write_step({'step': 1, 'loss': 1.0}); writer.write_histograms(1, {'a': [1.0]})\n"
            "    writer.close()\n"
            "sys.exit(any(name.split('.')[0] in ('tensorflow', 'keras') for name in sys.modules))\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    unittest.main()
