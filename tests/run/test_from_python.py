"""`tf_fullbatch.train`: runs on objects of a Python program."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

import tf_fullbatch
from tests.command import CommandTestCase, command, contents, evaluations_of, steps_of
from tf_fullbatch.errors import NonFiniteError, UserError
from tf_fullbatch.report.loading import load
from tf_fullbatch.run.fingerprint import fingerprint
from tf_fullbatch.run.given import parts_of

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(120, 4)), RNG.integers(0, 3, 120)
DATA = {"train": (X[:60], Y[:60]), "validation": (X[60:90], Y[60:90]), "test": (X[90:], Y[90:])}
SETTINGS = {"micro_batch_size": 16, "quiet": True, "schedule_epochs": 6, "learning_rate": 0.1}


def network(
    input_shape: tuple = (4,), num_classes: int = 3, units: int = 8, act: str = "tanh"
) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(units, act), keras.layers.Dense(num_classes)]
    return keras.Sequential([keras.Input(input_shape), *layers])


class Scaled(keras.layers.Dense):
    """A layer of a user's that Keras cannot write down."""

    def __init__(self, units: int, function: Callable):
        super().__init__(units)
        self.function = function

    get_config = keras.layers.Layer.get_config

    def call(self, inputs: Any) -> Any:
        return self.function(super().call(inputs))


def data() -> dict[str, tuple]:
    return DATA


class TrainTest(CommandTestCase):
    draws_curves = False

    def train(self, folder: Path, **arguments: Any) -> Any:
        return tf_fullbatch.train(
            **{"model": network(), "output_dir": folder, **DATA, **SETTINGS, **arguments}
        )

    def test_objects_recorded_resumed_and_opened(self) -> None:
        whole, parts = self.folder / "whole", self.folder / "parts"
        run = self.train(whole, epochs=6, clip_norm=0.5)
        self.train(parts, epochs=2, clip_norm=0.5)
        again = self.train(parts, epochs=6, clip_norm=0.5)
        self.assertEqual((run.step, run.epoch, again.step), (6, 6, 6))
        self.assertEqual(steps_of(whole), steps_of(parts))
        self.assertEqual(evaluations_of(whole), evaluations_of(parts))
        # A run that has all its epochs is opened.
        (whole / "curves.png").touch()  # which this test does not draw
        before = contents(whole)
        same = self.train(whole, epochs=6, clip_norm=0.5)
        for ours, theirs in zip(run.network.get_weights(), same.network.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        self.assertEqual(contents(whole), before)
        model = network()
        opened = tf_fullbatch.open_run(whole, 6, model=model, **DATA)
        self.assertIs(opened.network, model)
        np.testing.assert_array_equal(model.get_weights()[0], run.network.get_weights()[0])
        plain = keras.models.load_model(whole / "model.keras")
        np.testing.assert_array_equal(plain.get_weights()[0], run.network.get_weights()[0])
        (arm,) = load([str(whole)]).arms
        self.assertEqual(arm.config.model.model, "python:model")
        self.assertNotIn("Repeats", (whole / "run.flags").read_text())
        self.assertRegex(
            repr(opened), r"^<OpenedRun .*whole at step 6, epoch 6: 60 training, 30 validation, "
        )
        self.assertEqual(
            repr(opened.objective()), "<Objective of 67 parameters in 4 variables, 4 micro-batches>"
        )

    def test_the_run_is_that_of_fit(self) -> None:
        run = self.train(
            self.folder / "run", epochs=3, optimizer=lambda rate: keras.optimizers.SGD(rate, momentum=0.5)
        )
        model = tf_fullbatch.FullBatchModel(network(), micro_batch_size=16)
        rates = tf_fullbatch.build_schedule(
            "published", peak=0.1, warmup_epochs=0, horizon_epochs=6, steps_per_epoch=1
        )
        optimizer = keras.optimizers.SGD(rates, momentum=0.5)
        model.compile(optimizer=optimizer, loss=tf_fullbatch.SparseCrossentropy())
        history = model.fit(np.float32(X[:60]), np.int32(Y[:60]), epochs=3, verbose=0)
        np.testing.assert_array_equal(run.history["loss"], history.history["loss"])

    def test_what_has_a_name_needs_no_program(self) -> None:
        folder = self.folder / "run"
        self.train(
            folder,
            model=network,
            model_options={"units": 5, "act": "relu"},
            train=data,
            validation=None,
            test=None,
            optimizer=keras.optimizers.Adam,
            loss=keras.losses.SparseCategoricalCrossentropy,
            loss_options={"from_logits": True},
            epochs=2,
        )
        recorded = json.loads((folder / "config.json").read_text())
        self.assertEqual(recorded["model"]["model"], f"{__name__}:network")
        self.assertEqual(recorded["model"]["model_options"], "units=5,act='relu'")
        self.assertEqual(recorded["optimizer"]["optimizer"], "keras:Adam")
        again = self.folder / "again"
        self.assert_done(command(f"--flagfile={folder / 'run.flags'}", f"--output_dir={again}"))
        self.assertEqual(steps_of(again), steps_of(folder))
        self.assertEqual(tf_fullbatch.open_run(folder, own_code=True).step, 2)

    def test_the_weights_it_began_with_are_recorded_once(self) -> None:
        def began_with(name: str, epochs: int = 1, **more: Any) -> str:
            self.train(self.folder / name, epochs=epochs, **more)
            return json.loads((self.folder / name / "config.json").read_text())["initial_weights_sha256"]

        model = network()
        expected = fingerprint(model.get_weights())
        self.assertEqual(began_with("one", model=model), expected)
        self.assertNotEqual(fingerprint(model.get_weights()), expected)
        self.assertEqual(began_with("one", epochs=2), expected)  # it goes on
        self.assertEqual(began_with("two", seed=7), expected)  # made already: no seed decides it
        self.assertNotEqual(began_with("three", model=model), expected)  # it goes on from what it has learned

    def test_names_that_keras_compile_takes(self) -> None:
        for optimizer, loss, recorded in (
            ("adam", "mse", {"optimizer": "keras:Adam", "loss": "keras:MeanSquaredError"}),
            ("SGD", "Huber", {"optimizer": "keras:SGD", "loss": "keras:Huber"}),
            ("adamw", "kld", {"optimizer": "adamw", "loss": "keras:KLDivergence"}),
            ("keras:Lion", "cross_entropy", {"optimizer": "keras:Lion", "loss": "cross_entropy"}),
        ):
            self.assertEqual(parts_of(optimizer=optimizer, loss=loss).values, recorded)

    def test_batches_losses_and_augmentations(self) -> None:
        batches = tf.data.Dataset.from_tensor_slices((np.float32(X[:60]), np.float32(X[:60, :1]))).batch(7)
        folder = self.folder / "run"
        run = self.train(
            folder,
            model=network(num_classes=1),
            train=batches,
            validation=None,
            test=(X[90:], X[90:, :1]),
            loss=keras.losses.Huber(0.5),
            augmentation=lambda inputs, ids, epoch: inputs * 2,
            epochs=1,
        )
        outputs = network(num_classes=1).predict(2 * np.float32(X[:60]), verbose=0)
        expected = float(keras.losses.Huber(0.5)(np.float32(X[:60, :1]), outputs))
        self.assertAlmostEqual(run.history["loss"].iloc[0], expected, delta=1e-6)
        self.assertEqual(len(json.loads((folder / "config.json").read_text())["files_sha256"]), 4)

    def test_numpys_numbers_and_small_sets(self) -> None:
        few = {"train": (X[:20], Y[:20]), "micro_batch_size": 128, "validation": None, "test": None}
        run = self.train(
            self.folder / "run", **few, epochs=np.int64(2), learning_rate=np.float32(0.5), seed=np.int32(1)
        )
        self.assertEqual((run.step, run.config.optimizer.learning_rate), (2, 0.5))

    def test_the_precision_of_the_program_stays(self) -> None:
        def made(input_shape: tuple, num_classes: int) -> keras.Model:
            return network(input_shape, num_classes)

        half = self.train(self.folder / "half", model=made, dtype_policy="mixed_bfloat16", epochs=1)
        self.assertEqual(half.network.layers[0].dtype_policy.name, "mixed_bfloat16")
        self.assertEqual(keras.config.dtype_policy().name, "float32")
        with self.assertRaisesRegex(UserError, "^dtype_policy=mixed_bfloat16 is given beside a model"):
            self.train(self.folder / "new", dtype_policy="mixed_bfloat16")

    def test_layers_are_named_as_in_a_new_process(self) -> None:
        def made(input_shape: tuple, num_classes: int) -> keras.Model:
            return network(input_shape, num_classes)

        for i in range(2):
            run = self.train(
                self.folder / str(i), model=made, learning_rate_factors={"dense_1/": 0.0}, epochs=1
            )
            self.assertEqual(
                [v.path.split("/")[-2] for v in run.network.weights], ["dense"] * 2 + ["dense_1"] * 2
            )

    def test_in_another_thread(self) -> None:
        found = []
        thread = threading.Thread(target=lambda: found.append(self.train(self.folder / "run", epochs=1).step))
        thread.start()
        thread.join()
        self.assertEqual(found, [1])

    def test_an_end_before_the_last_epoch_is_raised(self) -> None:
        folder = self.folder / "run"
        with self.assertRaisesRegex(NonFiniteError, "in step 2.* Lower learning_rate, set clip_norm"):
            self.train(folder, epochs=5, learning_rate=1e38)
        self.assertEqual(json.loads((folder / "summary.json").read_text())["outcome"], "NON_FINITE")
        self.assertEqual(len(steps_of(folder)), 1)

    def test_ctrl_c_passes_a_programs_except_and_the_run_goes_on(self) -> None:
        class CtrlC(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                if epoch == 1:
                    os.kill(os.getpid(), signal.SIGINT)
                    while not self.model.stop_requested():
                        time.sleep(0.01)

        folder = self.folder / "run"
        with (
            mock.patch("tf_fullbatch.run.train.Progress", return_value=CtrlC()),
            self.assertRaisesRegex(KeyboardInterrupt, "by SIGINT: step-0+2 is kept. The same command"),
        ):
            try:
                self.train(folder, epochs=4)
            except Exception as error:
                self.fail(f"{error!r} is an Exception")
        self.assertEqual(json.loads((folder / "summary.json").read_text())["outcome"], "INTERRUPTED")
        self.assertEqual(self.train(folder, epochs=4).step, 4)

    def test_ctrl_c_before_the_first_step_passes_too(self) -> None:
        def interrupted(*_: Any) -> keras.Model:
            signal.raise_signal(signal.SIGINT)
            self.fail("it went on")

        for part in ({"model": interrupted}, {"augmentation": interrupted}):
            with self.assertRaisesRegex(KeyboardInterrupt, "^interrupted by SIGINT: no step was under way"):
                try:
                    self.train(self.folder / "run", epochs=4, **part)
                except Exception as error:
                    self.fail(f"{error!r} is an Exception")
        self.assertEqual(contents(self.folder), {})

    def test_a_network_that_cannot_be_saved_is_refused_before_it_is_trained(self) -> None:
        model = keras.Sequential([keras.Input((4,)), Scaled(3, lambda outputs: 2 * outputs)])
        with self.assertRaisesRegex(UserError, "cannot be saved as model.keras: .*Define get_config"):
            self.train(self.folder / "run", model=model, epochs=1)
        self.assertEqual(contents(self.folder), {})

    def test_what_is_refused_in_pythons_words(self) -> None:
        folder = self.folder / "run"
        self.train(folder, epochs=1)
        before = contents(folder)
        other = {"train": (X[1:61], Y[:60])}
        for arguments, words in (
            ({"clip_norm": -1}, "^clip_norm=-1: must be above 0"),
            (
                {"extend_epochs": 5},
                r"^extend_epochs=5: must be a tuple, such as extend_epochs=\(5,\)",
            ),
            ({"extend_epochs": "3,4"}, r"a tuple, such as extend_epochs=\(3, 4\)"),
            ({"hparams": "a,b"}, r"a tuple, such as hparams=\('a', 'b'\)"),
            ({"hparams": ("a",)}, r"no such setting \(python -m tf_fullbatch.main --help lists all\)"),
            ({"model": None}, "^model is None: give one"),
            ({"train": None}, "^train is None: give one"),
            ({"dataset": "digits"}, "^dataset='digits' is given beside the part itself"),
            ({"model": 3}, "^model is of type int: give a name"),
            ({"model": "resnet9"}, r"^model=resnet9: did you mean resnet\w+ or .* Accepted are"),
            ({"model_options": {"units": 3}}, "does not take that"),
            ({"optimizer": keras.optimizers.SGD(0.1)}, "^optimizer is SGD with a rate of its own"),
            ({"loss": 3}, "^loss is of type int"),
            (
                {"loss": "msle2"},
                "^loss=msle2: accepted are cross_entropy, .*squared_error, keras:NAME, [^;]*module:function.$",
            ),
            ({"loss": "mean_square_error"}, "^loss=mean.*function; did you mean keras:MeanSquaredError or"),
            ({"loss": "keras:mse"}, "keras.losses has no loss mse; did you mean keras:MeanSquaredError"),
            ({"optimizer": "gradient_decent"}, "; did you mean gradient_descent"),
            ({"loss": lambda a: a}, "does not take that"),
            ({"train": (X, Y, Y)}, "^train has 3 entries: give"),
            ({"train": X}, "^train has no targets"),
            ({"train": (X, ["a"] * 120)}, "text or objects"),
            ({"train": "digits"}, "^validation is given beside train='digits'"),
            ({"strategy": "mirrored"}, "a model that is made already"),
            ({"mode": "evaluate"}, "^mode is for the command line"),
            (other, "^dataset=python:data: the object is not what it was"),
            ({"model": network(act="relu")}, "^model=python:model: the object is not what it was"),
            ({"model": network(units=7)}, "^model=python:model: the object is not what it was"),
            ({"momentum": 0.5}, "holds a run with other settings .momentum: 0.9 there, 0.5 now"),
        ):
            new = folder if "there" in words or "was" in words else self.folder / "new"
            with self.subTest(words), self.assertRaisesRegex(UserError, words) as caught:
                self.train(new, **arguments)
            self.assertEqual(len(str(caught.exception).splitlines()), 1)
            self.assertNotRegex(str(caught.exception), "--(?!help)[a-z]")
        with self.assertRaisesRegex(TypeError, "no setting 'epoch'; did you mean epochs"):
            self.train(folder, epoch=3)
        both = (
            "dataset=python:data, {}model=python:model stand for objects of a Python program: give them there"
        )
        with self.assertRaisesRegex(UserError, f"^{both.format('')}"):
            tf_fullbatch.open_run(folder)
        with self.assertRaisesRegex(
            UserError, "^model=python:model stands for an object of a Python program"
        ):
            tf_fullbatch.open_run(folder, **DATA)
        with self.assertRaisesRegex(UserError, "Give all that was given then .model, train, validation"):
            tf_fullbatch.open_run(folder, model=network(), train=DATA["train"])
        with self.assertRaisesRegex(TypeError, "^open_run.. got an unexpected keyword argument 'foo'"):
            tf_fullbatch.open_run(folder, foo=1)
        self.assertEqual(contents(folder), before)
        self.assertFalse((self.folder / "new").exists())
        evaluated = command("--mode=evaluate", f"--output_dir={folder}")
        self.assert_refused(evaluated, f"--{both.format('--')}")
