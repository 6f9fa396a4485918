"""Runs of the user's own network and optimizer: recorded, resumed, evaluated, and refused where the code is another."""

import json
import os
import textwrap
import unittest
from pathlib import Path

import keras
import numpy as np

from tests.command import CommandTestCase, command, contents, steps_of
from tf_fullbatch import open_run
from tf_fullbatch.errors import UserError

CODE = """
    import keras

    def network(input_shape, num_classes, units=16, act="relu"):
        layers = [keras.layers.Rescaling(1 / 16), keras.layers.Flatten(), keras.layers.Dense(units, act)]
        return keras.Sequential([keras.Input(input_shape), *layers, keras.layers.Dense(num_classes)])

    def embedded(input_shape, num_classes):
        layers = [keras.layers.Embedding(9, 8), keras.layers.Flatten(), keras.layers.Dense(num_classes)]
        return keras.Sequential([keras.Input(input_shape, dtype="int32"), *layers])

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

    def softmax(input_shape, num_classes):
        return keras.Sequential([network(input_shape, num_classes), keras.layers.Softmax()])

    def leaves(input_shape, num_classes):
        raise SystemExit(3)

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
        self.assertEqual(set(recorded["files_sha256"]), {"model", "optimizer"})
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
            command("--mode=evaluate", f"--output_dir={self.run}"),
            f"uses code, {' '.join(self.own)}, which a record alone does not run: name it too, by the same flags",
        )
        self.assert_refused(
            command("--mode=evaluate", f"--output_dir={self.run}", self.own[0]),
            f"uses code, {self.own[1]}, which a record alone does not run: name it too, by the same flag (",
        )
        with self.assertRaisesRegex(UserError, "record alone does not run"):
            open_run(self.run)
        self.file.write_text(self.file.read_text() + "\n# another\n")
        for ended in (self.train(2), command("--mode=evaluate", f"--output_dir={self.run}", *self.own)):
            for part in self.own:
                self.assert_refused(ended, f"{part}: the file is not what it was", "now). Restore them, or")
        self.assertEqual(contents(self.run), before)

    def test_what_is_refused_before_anything_is_written(self) -> None:
        for name, words in (
            ("nothing", "returned a NoneType: return a keras.Model"),
            ("narrow", "outputs of the shape (None, 3): return logits, (None, 10)"),
            ("flat", "cannot be called on inputs of the shape (8, 8, 1)"),
            ("probabilities", "a network of probabilities, but the loss takes logits"),
            ("softmax", "a network of probabilities, but the loss takes logits"),
            ("leaves", "failed: own.py, line"),
            ("absent", "own.py has no function or class 'absent'"),
        ):
            self.assert_refused(command(f"--model={self.file}:{name}", *self.flags), f":{name}", words)
        for arguments, words in (
            ((self.own[0], "--model_options=unit=3"), "unexpected keyword argument 'unit'"),
            ((self.own[0], "--model_options=units"), "'units' is no key=value"),
            (("--model=keras:Nothing",), "keras.applications has no model Nothing; it has ConvNeXtBase"),
            (("--model=nothing",), "keras:NAME, FILE.py:function or package.module:function"),
            (("--model=mlp", "--model_options=units=3"), "has no effect with --model=mlp"),
            ((self.own[0], "--width=3"), "--width=3 has no effect with --model="),
            (("--optimizer=keras:Nothing",), "keras.optimizers has no optimizer Nothing; it has Adadelta"),
            (("--optimizer=keras:SGD", "--optimizer_options=momentu=1"), "momentu"),
            (("--optimizer=keras:SGD", "--weight_decay=0.1"), "has no effect with --optimizer=keras:SGD"),
            ((f"--optimizer={self.file}:rate",), "returned a float: return a keras.optimizers.Optimizer"),
        ):
            self.assert_refused(command(*arguments, *self.flags), words)
        self.assertFalse(self.run.exists())

    def test_data_of_the_users_own(self) -> None:
        data = self.folder / "data.npz"
        generator = np.random.default_rng(0)
        x, y = generator.normal(3, 2, (300, 5)), generator.integers(0, 3, 300)
        x[:, 0] += 12 * y

        def save() -> None:
            np.savez(data, train_inputs=x[:200], train_targets=y[:200], validation_inputs=x[200:250],
                     validation_targets=y[200:250], test_inputs=x[250:], test_targets=y[250:])  # fmt: skip

        save()
        flags = (f"--dataset={data}", f"--output_dir={self.run}", "--quiet", "--schedule_epochs=40")
        rate = ("--model=mlp", "--learning_rate=0.5")
        self.assert_done(command(*flags, *rate, "--epochs=30"))
        opened = open_run(self.run)
        self.assertEqual([len(s) for s in (opened.splits.train, opened.splits.validation)], [200, 50])
        last = opened.evaluations[opened.evaluations["step"] == 30].set_index("split")
        self.assertGreater(last.loc["test", "accuracy"], 0.9)
        # The network's first layer brings each feature to mean 0 and variance 1.
        normalise = opened.network.layers[1]
        normalised = keras.ops.convert_to_numpy(normalise(opened.splits.train.inputs))
        np.testing.assert_allclose(normalised.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(normalised.std(0), 1, rtol=1e-5)
        for arguments, words in (
            (("--model=resnet8",), "--model=resnet8: it takes images"),
            ((*rate, "--augmentation=crop"), "--augmentation is for images"),
            ((*rate, "--flip_averaging"), "--flip_averaging is for images"),
            ((*rate, "--validation_size=5"), "has a split 'validation' of its own"),
            ((*rate, "--dataset_options=a=1"), "has no effect with --dataset="),
        ):
            new = command(f"--dataset={data}", f"--output_dir={self.folder / 'new'}", "--quiet", *arguments)
            self.assert_refused(new, words)
        x[0] += 1
        save()
        self.assert_refused(command(*flags, *rate, "--epochs=40"), "the file is not what it was")
        self.assertFalse((self.folder / "new").exists())

    def test_names_of_files_are_the_same_from_any_folder(self) -> None:
        (self.folder / "a b").mkdir()
        data = self.folder / "x:y.npz"
        np.savez(data, inputs=np.arange(400.0).reshape(200, 2), targets=np.arange(200) % 2)
        self.addCleanup(os.chdir, Path.cwd())
        flags = ("--model=own.py:network", "--epochs=1", "--quiet", "--output_dir=run")
        os.chdir(self.folder)
        self.assert_done(command(*flags, "--dataset=x:y.npz"))
        os.chdir(self.folder / "a b")
        evaluated = command("--mode=evaluate", "--output_dir=../run", "--model=../own.py:network")
        self.assertIn("step 1", self.assert_done(evaluated).out)
        before = steps_of(self.run)
        again = command(
            "--model=../a b/../own.py:network", "--dataset=../x:y.npz", "--epochs=1", "--output_dir=../run"
        )
        self.assert_done(again)
        self.assertEqual(steps_of(self.run), before)

    def test_tokens_are_for_a_network_of_ones_own(self) -> None:
        data = self.folder / "tokens.npz"
        tokens = np.random.default_rng(0).integers(0, 9, (200, 6))
        np.savez(data, inputs=tokens, targets=(tokens[:, 0] > 4).astype(int))
        flags = (f"--dataset={data}", f"--output_dir={self.run}", "--quiet", "--epochs=40")
        self.assert_refused(
            command(*flags, "--model=mlp"), "integers (tokens), which this network does not take"
        )
        own = (f"--model={self.file}:embedded", "--optimizer=keras:Adam", "--learning_rate=0.05")
        self.assert_done(command(*flags, *own))
        self.assertGreater(steps_of(self.run)[-1]["accuracy"], 0.95)

    def test_a_default_folder_is_named_by_the_file_alone(self) -> None:
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)
        self.assert_done(command("--model=own.py:network", "--train_size=200", "--epochs=1", "--quiet"))
        (made,) = (self.folder / "runs").iterdir()
        self.assertRegex(made.name, r"^digits-own.py-network-[0-9a-f]{8}$")


if __name__ == "__main__":
    unittest.main()
