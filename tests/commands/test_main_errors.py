"""What the command says when it is used wrongly, or when a run cannot go on: one line, an exit code, no harm."""

import json
import shutil
import unittest
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from tests.command import CommandTestCase, command, contents, tiny
from tests.house.without_tensorflow import run_all
from tests.rows import read_rows
from tf_fullbatch.errors import Outcome
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.records.checkpoints import list_checkpoints, load_checkpoint
from tf_fullbatch.records.columns import STEP_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.training.step_loop import StepLoop

# Arguments -> what the line says. None of these may need TensorFlow.
REFUSED_FLAGS = {
    "--epohcs=3": ("epohcs", "Did you mean: epochs"),
    "--epochs=three": ("--epochs=three", "whole number"),
    "surplus": ("'surplus'", "--name=value"),
    "--epochs=0": ("--epochs=0", "at least 1"),
    "--label_smoothing=1": ("--label_smoothing=1", "below 1"),
    "--learning_rate=0": ("--learning_rate=0", "above 0"),
    "--learning_rate=nan": ("--learning_rate=nan", "finite"),
    "--learning_rate=inf": ("finite",),
    "--decay_factor=1.5": ("--decay_factor=1.5", "at most 1"),
    "--clip_norm=-1": ("--clip_norm=-1", "above 0"),
    "--seed=99999999999": ("--seed=99999999999", "below 2147483648"),
    "--optimizer=sgd": ("--optimizer=sgd", "gradient_descent, adamw"),
    "--model=resnet9": ("--model=resnet9", "resnet8"),
    "--penalty=nested_tape": ("--penalty=nested_tape", "--penalty_strength"),
    "--penalty_strength=0.5": ("--penalty=none", "forward_differences"),
    "--penalty_warmup_epochs=3": ("--penalty_warmup_epochs", "--penalty"),
    "--micro_batch_size=65 --batch_size=64": ("--micro_batch_size=65", "--batch_size=64"),
    "--micro_batch_size=101 --train_size=100": ("--micro_batch_size=101", "--train_size=100"),
    "--batch_size=300 --train_size=200": ("--batch_size=300", "--train_size=200"),
    "--warmup_epochs=9 --epochs=8": ("--warmup_epochs=9", "--epochs=8"),
    "--warmup_epochs=9 --schedule_epochs=8": ("--warmup_epochs=9", "--schedule_epochs=8"),
    "--schedule=steps": ("--schedule=steps", "needs --decay_epochs"),
    "--decay_epochs=3": ("--decay_epochs=3", "no effect with --schedule=published"),
    "--schedule=steps --decay_epochs=5,3": ("--decay_epochs=5,3", "ascending"),
    "--schedule=steps --decay_epochs=70": ("--decay_epochs=70", "60"),
    "--penalty=nested_tape --penalty_strength=1 --penalty_warmup_epochs=99": (
        "--penalty_warmup_epochs=99",
        "60",
    ),
    "--mode=evaluate --output_dir=": ("--mode=evaluate", "--output_dir"),
    "--image_size=16": ("--image_size=16", "8x8"),
    "--augmentation=randaugment": ("--augmentation=randaugment", "3 channels"),
    "--model=mlp --stem=cifar": ("--stem=cifar", "--model=mlp"),
    "--profile_steps=3": ("--profile_steps=3", "first and last step"),
    "--profile_steps=5,3": ("--profile_steps=5,3", "first and last step"),
    "--profile_steps=3,x": ("--profile_steps=3,x", "whole number"),
    "--image_size=2": ("--image_size=2", "at least 4"),
    "--flagfile=absent.flags": ("absent.flags", "No such file"),
}

# These are known only once the data are read or the network is built.
REFUSED_RUNS = {
    "--dataset=cifar11": ("'cifar11'", "did you mean", "cifar10"),
    "--dataset=cifar10 --data_dir=/absent": ("--data_dir=/absent", "not a folder"),
    "--train_size=1000 --validation_size=400": ("--train_size=1000", "947"),
    "--validation_size=1347": ("--validation_size=1347", "1346"),
    "--train_size=none --batch_size=1348": ("--batch_size=1348", "1347"),
    "--initial_weights=absent.keras": ("absent.keras", "Give a run folder"),
    "--stem=imagenet --penalty=nested_tape --penalty_strength=1 --jit_compile=on": ("--jit_compile=on",),
    "--mode=evaluate": ("config.json",),
}


class RefusedTest(CommandTestCase):
    def test_flags_within_a_second_and_without_tensorflow(self):
        output = self.folder / "run"
        ends = run_all([[f"--output_dir={output}", *arguments.split()] for arguments in REFUSED_FLAGS])
        for (arguments, parts), ended in zip(REFUSED_FLAGS.items(), ends, strict=True):
            with self.subTest(arguments=arguments):
                self.assert_refused(ended, *parts)
                self.assertLess(ended.cpu_seconds, 1.0)
        self.assertFalse(output.exists())

    def test_runs(self):
        for arguments, parts in REFUSED_RUNS.items():
            with self.subTest(arguments=arguments):
                output = self.folder / "run"
                self.assert_refused(tiny(output, *arguments.split()), *parts)
                self.assertFalse(output.exists())

    def test_a_data_set_that_is_not_there_and_cannot_be_had(self):
        with mock.patch("requests.Session.get", side_effect=OSError("no network here")):
            ended = tiny(self.folder / "run", "--dataset=mnist", f"--data_dir={self.folder}")
        self.assert_refused(ended, "'mnist'", "could not be downloaded", "--data_dir", "tfds build mnist")
        self.assertEqual({}, contents(self.folder))

    def test_images_that_the_network_cannot_take(self):
        message = "the images of 8x8 are too small"
        with mock.patch("tf_fullbatch.run.build.network_of", side_effect=ValueError(message)):
            self.assert_refused(tiny(self.folder / "run"), "--model=resnet_tiny", message)
        self.assertEqual({}, contents(self.folder))


class OutputDirTest(CommandTestCase):
    def test_places_that_cannot_be_written(self):
        file = self.folder / "file"
        file.write_text("mine")
        for place, part in {
            file: "it is a file",
            file / "run": "Not a directory",
            Path("/proc/tf_fullbatch"): "cannot write",
            self.folder / ("x" * 300): "File name too long",
        }.items():
            with self.subTest(place=place):
                self.assert_refused(tiny(place), str(place), part)
        self.assertEqual({"file": b"mine"}, contents(self.folder))

    def test_a_folder_of_something_else(self):
        (self.folder / "thesis.tex").write_text("mine")
        self.assert_refused(tiny(self.folder), str(self.folder), "no run of tf_fullbatch")
        self.assertEqual({"thesis.tex": b"mine"}, contents(self.folder))

    def test_evaluate_needs_a_run(self):
        self.assert_refused(command("--mode=evaluate"), "--output_dir")
        self.assert_refused(tiny(self.folder, "--mode=evaluate"), "config.json")


class FoldersOfRunsTest(CommandTestCase):
    """Refusals that need a run: one of three epochs, damaged anew for each test in a copy of the folder."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.run_folder = cls.shared / "run"
        ended = tiny(cls.run_folder, "--epochs=3", "--schedule_epochs=6", "--checkpoint_every=1")
        assert ended.code == 0, ended.err
        cls.whole = contents(cls.run_folder)

    def setUp(self) -> None:
        super().setUp()
        for name, content in self.whole.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)

    def go_on(self, *arguments: str):
        return tiny(self.folder, "--epochs=4", "--schedule_epochs=6", *arguments)

    def assert_refused_untouched(self, *parts: str, arguments: tuple[str, ...] = ()) -> None:
        before = contents(self.folder)
        self.assert_refused(self.go_on(*arguments), *parts)
        self.assertEqual(before, contents(self.folder))

    def test_other_settings_are_named(self):
        arguments = ("--learning_rate=0.2", "--clip_norm=0.25", "--seed=1")
        parts = (
            "--learning_rate: 0.1 there, 0.2 now",
            "--clip_norm: None there, 0.25 now",
            "--seed: 0 there, 1 now",
        )
        self.assert_refused_untouched(*parts, "other settings", arguments=arguments)

    def test_a_schedule_that_follows_epochs_is_explained(self):
        parts = ("--schedule_epochs: 6.0 there, 4 now", "not given, it is --epochs")
        self.assert_refused_untouched(*parts, arguments=("--schedule_epochs=none",))

    def test_fewer_epochs_than_are_done(self):
        self.assert_refused_untouched("--epochs=2", "already has 3", arguments=("--epochs=2",))

    def test_a_damaged_config_json(self):
        config = json.loads(self.whole["config.json"])
        no_group = {name: group for name, group in config.items() if name != "data"}
        no_number = config | {"runtime": config["runtime"] | {"epochs": "many"}}
        newer = config | {"step": config["step"] | {"invented_later": 1}}
        for text, part in {
            "{": "not valid JSON",
            "[]": "groups",
            json.dumps(no_group): "groups",
            json.dumps(no_number): "config.json",
            json.dumps(newer): "invented_later",
        }.items():
            with self.subTest(text=text[:20]):
                (self.folder / "config.json").write_text(text)
                self.assert_refused_untouched("config.json", part)

    def test_a_corrupt_checkpoint_falls_back_to_the_one_before_it(self):
        newest, older, _ = list_checkpoints(self.folder / "checkpoints")
        (newest / "arrays.npz").write_bytes(b"")
        ended = self.assert_done(self.go_on("--checkpoint_every=1"))
        self.assertIn(f"{newest} cannot be used", ended.err)
        self.assertIn("after step 2", ended.err)
        steps = [row["step"] for row in read_rows(RunFolder(self.folder).metrics, STEP_COLUMNS)]
        self.assertEqual([1, 2, 3, 4], steps)
        self.assertEqual(2, load_checkpoint(older).step)
        self.assertEqual(3, load_checkpoint(newest).step)  # trained and saved again

    def test_only_corrupt_checkpoints_are_refused(self):
        for checkpoint in list_checkpoints(self.folder / "checkpoints"):
            (checkpoint / "SHA256SUMS").write_bytes(b"")
        self.assert_refused_untouched("none of the 3 checkpoints", "nothing was changed")
        evaluating = ("--mode=evaluate",)
        self.assert_refused_untouched("none of the 3 checkpoints", arguments=evaluating)

    def test_evaluate_without_checkpoints(self):
        for checkpoint in list_checkpoints(self.folder / "checkpoints"):
            checkpoint.rename(checkpoint.with_name("moved-away"))
            for file in checkpoint.with_name("moved-away").iterdir():
                file.unlink()
            checkpoint.with_name("moved-away").rmdir()
        self.assert_refused_untouched("no checkpoint to evaluate", arguments=("--mode=evaluate",))

    def test_an_ended_run_without_its_checkpoints_is_not_overwritten(self):
        shutil.rmtree(self.folder / "checkpoints")
        self.assert_refused_untouched("holds a run that has ended", "Restore checkpoints/")

    def test_initial_weights_that_do_not_fit(self):
        (self.folder / "garbage.keras").write_bytes(b"PK garbage")
        (self.folder / "garbage.weights.h5").write_bytes(b"garbage")
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(self.folder / "other.keras")
        (self.folder / "empty").mkdir()
        cases = {
            "garbage.keras": "garbage.keras is damaged, or of another network",
            "garbage.weights.h5": "garbage.weights.h5 is damaged, or of another network",
            "other.keras": "does not fit --model=resnet_tiny",
            "empty": "model.keras",
            "config.json": "it is another kind of file. Give a run folder",
        }
        for name, part in cases.items():
            with self.subTest(name=name):
                new = self.folder / "new"
                ended = tiny(new, f"--initial_weights={self.folder / name}")
                self.assert_refused(ended, f"--initial_weights={self.folder / name}", part)
                self.assertFalse(new.exists())
        self.assert_refused(
            tiny(self.folder / "new", f"--initial_weights={self.folder}", "--width=4"), "does not fit"
        )


class EndsTest(CommandTestCase):
    """Runs that end early."""

    draws_curves = False

    def summary(self) -> dict:
        return json.loads((self.folder / "summary.json").read_text())

    def test_a_rate_that_is_not_finite(self):
        ended = tiny(self.folder, "--learning_rate=1e39", "--schedule=constant", "--epochs=1")
        self.assertEqual(3, ended.code)
        expected = (
            "error: the learning rate is inf in step 1: the update was not applied and the weights of step 0"
        )
        self.assertIn(expected, ended.err.splitlines()[-1])
        for weights in keras.models.load_model(self.folder / "model.keras").get_weights():
            self.assertTrue(np.all(np.isfinite(weights)))

    def test_weights_that_an_update_makes_nan(self):
        apply = GradientDescent.update_step

        def faulty(optimizer, gradient, variable, learning_rate):
            apply(optimizer, gradient, variable, learning_rate)
            broken = tf.where(optimizer.iterations.value == 2, np.nan, 0.0)
            variable.assign_add(tf.cast(broken, variable.dtype) * tf.ones_like(variable))

        with mock.patch.object(GradientDescent, "update_step", faulty):
            ended = tiny(self.folder, "--epochs=4", "--checkpoint_every=1")
        self.assertEqual(3, ended.code)
        line = ended.err.splitlines()[-1]
        self.assertIn("the norm of the update is nan in step 3: the weights are lost.", line)
        self.assertIn("The weights of step 2, the last that was saved, are kept.", line)
        kept = load_checkpoint(list_checkpoints(self.folder / "checkpoints")[0])
        self.assertEqual(2, kept.step)
        saved = keras.models.load_model(self.folder / "model.keras").get_weights()
        self.assertTrue(all(np.all(np.isfinite(w)) for w in saved))
        ended = self.assert_done(tiny(self.folder, "--epochs=4", "--checkpoint_every=1"))
        self.assertIn("after step 2", ended.err)

    def test_not_finite(self):
        ended = tiny(
            self.folder, "--learning_rate=1e30", "--clip_norm=none", "--epochs=4", "--checkpoint_every=9"
        )
        self.assertEqual(Outcome.NON_FINITE.exit_code, ended.code)
        self.assertEqual(3, ended.code)
        line = ended.err.splitlines()[-1]
        self.assertRegex(line, r"^error: the (loss|gradient norm) is (nan|inf) in step 2, first seen in ")
        self.assertIn("the weights of step 1 are kept", line)
        self.assertEqual(("NON_FINITE", 1), (self.summary()["outcome"], self.summary()["steps"]))
        self.assertIn(self.summary()["message"], line)
        for weights in keras.models.load_model(self.folder / "model.keras").get_weights():
            self.assertTrue(np.all(np.isfinite(weights)))
        (path,) = list_checkpoints(self.folder / "checkpoints")
        checkpoint = load_checkpoint(path)
        self.assertEqual(1, checkpoint.step)
        self.assertTrue(all(np.all(np.isfinite(array)) for array in checkpoint.arrays.values()))
        self.assertEqual(1, len(read_rows(self.folder / "metrics.csv", STEP_COLUMNS)))
        again = tiny(
            self.folder, "--learning_rate=1e30", "--clip_norm=none", "--epochs=4", "--checkpoint_every=9"
        )
        self.assertEqual((3, line), (again.code, again.err.splitlines()[-1]))

    def test_out_of_memory(self):
        refused = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        with mock.patch.object(StepLoop, "advance", side_effect=refused):
            ended = tiny(self.folder, "--epochs=2")
        self.assertEqual(Outcome.OUT_OF_MEMORY.exit_code, ended.code)
        line = ended.err.splitlines()[-1]
        self.assertRegex(line, "^error: .*out of memory")
        self.assertIn("--micro_batch_size", line)
        self.assertEqual("OUT_OF_MEMORY", self.summary()["outcome"])
        # Nothing was trained: what the line advises is not refused as another setting.
        self.assert_done(tiny(self.folder, "--epochs=1", "--micro_batch_size=32"))

    def test_out_of_memory_outside_of_the_step(self):
        refused = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        with mock.patch("tf_fullbatch.run.build.network_of", side_effect=refused):
            self.assert_refused(tiny(self.folder), "out of memory", "--micro_batch_size", code=4)

    def test_a_disk_that_fills_up(self):
        full = OSError(28, "No space left on device")
        with mock.patch("numpy.savez", side_effect=full):
            ended = tiny(self.folder, "--epochs=2", "--checkpoint_every=1")
        self.assertEqual(2, ended.code)
        self.assertRegex(ended.err.splitlines()[-1], "^error: cannot write .*No space left on device")
        self.assert_done(tiny(self.folder, "--epochs=2", "--checkpoint_every=1"))


if __name__ == "__main__":
    unittest.main()
