"""Runs of the user's own network and optimizer: recorded, resumed, evaluated, and refused where the code is another."""

import json
import os
import textwrap
import unittest
from pathlib import Path

import keras

from tests.command import CommandTestCase, command, contents, steps_of
from tf_fullbatch import open_run
from tf_fullbatch.errors import UserError

CODE = """
    import keras

    def network(input_shape, num_classes, units=16, act="relu"):
        layers = [keras.layers.Rescaling(1 / 16), keras.layers.Flatten(), keras.layers.Dense(units, act)]
        return keras.Sequential([keras.Input(input_shape), *layers, keras.layers.Dense(num_classes)])

    def sgd(learning_rate, momentum=0.5):
        return keras.optimizers.SGD(learning_rate, momentum=momentum)

    def nothing(input_shape, num_classes):
        return None

    def narrow(input_shape, num_classes):
        return network(input_shape, 3)

    def flat(input_shape, num_classes):
        return keras.Sequential([keras.Input((7,)), keras.layers.Dense(num_classes)])

    def probabilities(input_shape, num_classes):
        layers = [keras.layers.Flatten(), keras.layers.Dense(num_classes, "softmax")]
        return keras.Sequential([keras.Input(input_shape), *layers])

    def rate(learning_rate):
        return 0.1
"""


class OwnCodeTest(CommandTestCase):
    draws_curves = False

    def setUp(self) -> None:
        super().setUp()
        self.file = self.folder / "own.py"
        self.file.write_text(textwrap.dedent(CODE))
        self.run = self.folder / "run"
        self.own = (f"--model={self.file}:network", f"--optimizer={self.file}:sgd")
        self.flags = ("--train_size=200", "--micro_batch_size=64", f"--output_dir={self.run}", "--quiet")
        self.options = ("--model_options=units=6, act='tanh'", "--optimizer_options=momentum=0.8")

    def train(self, epochs: int, *more: str):
        return command(
            *self.own, *self.options, *self.flags, "--schedule_epochs=4", f"--epochs={epochs}", *more
        )

    def test_a_run_is_recorded_resumed_and_opened(self) -> None:
        self.assert_done(self.train(2))
        recorded = json.loads((self.run / "config.json").read_text())
        self.assertEqual(set(recorded["code_sha256"]), {"model", "optimizer"})
        network = keras.models.load_model(self.run / "model.keras")
        self.assertEqual([w.shape for w in network.weights][1], (6,))
        self.assertIs(network.layers[2].activation, keras.activations.tanh)
        # From another folder: run.flags has the whole path, and the same command goes on.
        elsewhere = self.folder / "elsewhere"
        self.assert_done(
            command(f"--flagfile={self.run / 'run.flags'}", f"--output_dir={elsewhere}", "--quiet")
        )
        self.assertEqual(steps_of(elsewhere), steps_of(self.run))
        self.assert_done(self.train(3))
        opened = open_run(self.run, own_code=True)
        self.assertEqual((opened.step, opened.model.optimizer.momentum), (3, 0.8))
        table = self.assert_done(command("--mode=evaluate", f"--output_dir={self.run}", *self.own)).out
        self.assertIn("step 3", table)

    def test_code_runs_where_it_is_named_alone(self) -> None:
        self.assert_done(self.train(1))
        before = contents(self.run)
        self.assert_refused(
            command("--mode=evaluate", f"--output_dir={self.run}"), "a record alone does not run", "--model="
        )
        self.assert_refused(
            command("--mode=evaluate", f"--output_dir={self.run}", self.own[0]),
            "--optimizer=",
            "record alone",
        )
        with self.assertRaisesRegex(UserError, "record alone does not run"):
            open_run(self.run)
        self.file.write_text(self.file.read_text() + "\n# another\n")
        for ended in (self.train(2), command("--mode=evaluate", f"--output_dir={self.run}", *self.own)):
            self.assert_refused(ended, "the file is not what it was", "Restore it")
        self.assertEqual(contents(self.run), before)

    def test_what_is_refused_before_anything_is_written(self) -> None:
        for name, words in (
            ("nothing", "returned a NoneType: return a keras.Model"),
            ("narrow", "outputs of the shape (None, 3): return logits, (None, 10)"),
            ("flat", "cannot be called on inputs of the shape (8, 8, 1)"),
            ("probabilities", "ends in softmax, but the loss takes logits"),
            ("absent", "own.py has no function 'absent'"),
        ):
            self.assert_refused(command(f"--model={self.file}:{name}", *self.flags), f":{name}", words)
        for arguments, words in (
            ((self.own[0], "--model_options=unit=3"), "unexpected keyword argument 'unit'"),
            ((self.own[0], "--model_options=units"), "'units' is no key=value"),
            (("--model=keras:Nothing",), "keras.applications has no Nothing; it has ConvNeXtBase"),
            (("--model=nothing",), "keras:NAME, FILE.py:function or package.module:function"),
            (("--model=mlp", "--model_options=units=3"), "has no effect with --model=mlp"),
            ((self.own[0], "--width=3"), "--width=3 has no effect with --model="),
            (("--optimizer=keras:Nothing",), "keras.optimizers has no Nothing; it has Adadelta"),
            (("--optimizer=keras:SGD", "--optimizer_options=momentu=1"), "momentu"),
            (("--optimizer=keras:SGD", "--weight_decay=0.1"), "has no effect with --optimizer=keras:SGD"),
            ((f"--optimizer={self.file}:rate",), "returned a float: return a keras.optimizers.Optimizer"),
        ):
            self.assert_refused(command(*arguments, *self.flags), words)
        self.assertFalse(self.run.exists())

    def test_a_default_folder_is_named_by_the_file_alone(self) -> None:
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)
        self.assert_done(command("--model=own.py:network", "--train_size=200", "--epochs=1", "--quiet"))
        (made,) = (self.folder / "runs").iterdir()
        self.assertRegex(made.name, r"^digits-own.py-network-[0-9a-f]{8}$")


if __name__ == "__main__":
    unittest.main()
