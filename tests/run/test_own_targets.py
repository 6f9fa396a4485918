"""Runs whose targets are no classes, of several inputs and outputs, with losses and augmentations of the user's own."""

import json
import textwrap

import numpy as np

from tests.command import CommandTestCase, command, evaluations_of, steps_of, summary_of
from tf_fullbatch import open_run

CODE = """
    import keras
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    X, PIXELS = rng.normal(size=(120, 3)), rng.integers(0, 256, (120, 4, 4)).astype("uint8")
    Y = X @ [1.0, -2.0, 0.5] + 1

    def cut(x, y):
        ends = {"train": (0, 60), "validation": (60, 90), "test": (90, 120)}
        part = lambda arrays, a, b: {k: v[a:b] for k, v in arrays.items()} if isinstance(arrays, dict) else arrays[a:b]
        return {split: (part(x, a, b), part(y, a, b)) for split, (a, b) in ends.items()}

    def line():
        return cut(X, Y)

    def images():
        return cut(PIXELS, (X[:, 0] > 0).astype(int))

    def both():
        return cut({"numbers": X, "pixels": PIXELS}, {"kind": (X[:, 0] > 0).astype(int), "size": Y})

    def linear(input_shape, num_classes):
        return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(num_classes, kernel_initializer="zeros")])

    def flat(input_shape, num_classes):
        layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(num_classes)]
        return keras.Sequential([keras.Input(input_shape), *layers])

    def sigmoid(input_shape, num_classes):
        return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(1, "sigmoid")])

    def two(input_shape, num_classes):
        inputs = {name: keras.Input(shape, name=name) for name, shape in input_shape.items()}
        pixels = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs["pixels"]))
        x = keras.layers.Concatenate()([inputs["numbers"], pixels])
        x = keras.layers.Dense(8, "softplus")(x)
        heads = {k: keras.layers.Dense(n, kernel_initializer="zeros", name=k)(x) for k, n in num_classes.items()}
        return keras.Model(inputs, heads)

    def losses(size=1.0):
        return {
            "kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "size": lambda targets, outputs: size * keras.losses.mean_squared_error(targets, outputs),
        }

    def failing(targets, outputs):
        return targets / 0 + {}["key"]

    def silent(targets, outputs):
        outputs

    def number(targets, outputs):
        return 5

    def total(targets, outputs):
        return tf.reduce_sum(tf.square(targets - outputs))

    def fixed(learning_rate):
        return keras.optimizers.SGD(0.5)

    def floats(seed):
        return lambda x, ids, epoch: tf.cast(x, "float32")

    def huber(targets, outputs, delta=1.0):
        return keras.losses.huber(targets, outputs, delta)

    def pairs():
        return lambda targets, outputs: tf.square(targets - outputs[:, 0])

    def nothing():
        return 3

    class Pairs(keras.losses.Loss):
        def call(self, targets, outputs):
            return tf.square(targets - outputs)

    def inverted(seed, start=0):
        return lambda x, ids, epoch: tf.where((ids + epoch + start)[:, None, None, None] % 2 == 0, 255 - x, x)

    def drawn(seed):
        return lambda x, ids, epoch: x + tf.cast(tf.random.uniform(tf.shape(x), 0, 9, tf.int32), x.dtype)

    def mixed(seed):
        return lambda x, ids, epoch: tf.reverse(x, [0])

    def cropped(seed):
        return lambda x, ids, epoch: x[:, :3]
"""


class OwnTargetsTest(CommandTestCase):
    draws_curves = False

    def setUp(self) -> None:
        super().setUp()
        self.file = self.folder / "own.py"
        self.file.write_text(textwrap.dedent(CODE))
        self.run = self.folder / "run"
        self.common = ("--epochs=1", "--schedule=constant", "--quiet", "--micro_batch_size=16")

    def own(self, **names: str) -> tuple[str, ...]:
        return tuple(f"--{setting}={self.file}:{name}" for setting, name in names.items())

    def test_regression_is_descent_on_the_mean_squared_error(self) -> None:
        own = (
            *self.own(dataset="line", model="linear"),
            "--loss=keras:MeanSquaredError",
            "--learning_rate=0.1",
            "--momentum=0",
            "--weight_decay=0",
        )
        self.assert_done(command(*own, *self.common, "--epochs=30", f"--output_dir={self.run}"))
        run = open_run(self.run, own_code=True)
        x, y = (np.float64(a) for a in (run.splits.train.inputs, run.splits.train.targets))
        x, expected, weights = np.column_stack([x, np.ones(60)]), [], np.zeros(4)
        for _ in range(30):
            error = x @ weights - y
            expected.append(np.mean(error**2))
            weights -= 0.1 * 2 / 60 * x.T @ error
        np.testing.assert_allclose(run.history["loss"], expected, rtol=2e-5)
        kernel, bias = run.network.get_weights()
        np.testing.assert_allclose([*kernel[:, 0], *bias], weights, rtol=1e-4)
        # There is no accuracy; the lowest validation loss is the best.
        self.assertTrue(run.history["accuracy"].isna().all())
        best = summary_of(self.run)["best"]
        validation = run.evaluations[run.evaluations["split"] == "validation"]
        self.assertEqual(best["step"], int(validation.set_index("step")["loss"].idxmin()))
        self.assertEqual(set(best["validation"]), {"loss", "samples"})
        shown = self.assert_done(command(*own, *self.common, "--epochs=30", f"--output_dir={self.run}")).out
        self.assertNotIn("nan", shown)
        table = self.assert_done(command("--mode=evaluate", f"--output_dir={self.run}", *own)).out
        self.assertRegex(table, rf"train +raw +60 +- +{np.mean((x @ weights - y) ** 2):.4f} +-")

    def test_built_in_networks_take_numbers_and_classes(self) -> None:
        for i, arguments in enumerate(
            (
                (*self.own(dataset="line", loss="huber"), "--loss_options=delta=0.5"),
                (*self.own(dataset="line"), "--loss=keras:LogCosh"),
                (
                    "--dataset=digits",
                    "--loss=keras:SparseCategoricalCrossentropy",
                    "--loss_options=from_logits=True",
                ),
            )
        ):
            folder = self.folder / str(i)
            self.assert_done(
                command("--model=mlp", *arguments, *self.common, "--epochs=20", f"--output_dir={folder}")
            )
            steps = steps_of(folder)
            self.assertLess(steps[-1]["loss"], 0.8 * steps[0]["loss"])
            recorded = json.loads((folder / "config.json").read_text())
            self.assertEqual("loss" in recorded.get("files_sha256", ()), i == 0)

    def test_several_inputs_and_outputs_resumed(self) -> None:
        own = (*self.own(dataset="both", model="two", loss="losses"), "--loss_options=size=0.25")
        penalised = ("--penalty=nested_tape", "--penalty_strength=0.5", "--learning_rate=0.05")
        whole, halves = self.folder / "whole", self.folder / "halves"
        flags = (*own, *penalised, *self.common)
        self.assert_done(command(*flags, "--epochs=6", f"--output_dir={whole}"))
        for epochs in (3, 6):
            self.assert_done(
                command(*flags, "--schedule_epochs=6", f"--epochs={epochs}", f"--output_dir={halves}")
            )
        self.assertEqual(steps_of(whole), steps_of(halves))
        self.assertEqual(evaluations_of(whole), evaluations_of(halves))
        run = open_run(whole, own_code=True)
        sizes = np.float64(run.splits.train.targets["size"])
        # With heads of zeros: log 2, and the mean square.
        first = np.log(2) + 0.25 * np.mean(sizes**2)
        np.testing.assert_allclose(run.history["loss"].iloc[0], first, rtol=1e-6)
        self.assertLess(run.history["loss"].iloc[-1], first)
        self.assertEqual(run.network.predict(run.splits.test.inputs, verbose=0)["kind"].shape, (30, 2))
        part = (*flags, "--train_size=32", "--epochs=1", f"--output_dir={self.folder / 'part'}")
        self.assert_done(command(*part))

    def test_an_augmentation(self) -> None:
        own = self.own(dataset="images", model="flat", augmentation="inverted")
        self.assert_done(command(*own, *self.common, "--epochs=2", f"--output_dir={self.run}"))
        run = open_run(self.run, 1, own_code=True)
        # Step 2 sees the samples of odd number inverted; the loss is of those.
        images = run.splits.train.inputs.copy()
        images[1::2] = 255 - images[1::2]
        logits = run.network.predict(images, verbose=0).astype(np.float64)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        expected = -log_p[np.arange(60), run.splits.train.targets].mean()
        np.testing.assert_allclose(run.history["loss"].loc[2], expected, rtol=1e-5)
        self.assertIn("augmentation", json.loads((self.run / "config.json").read_text())["files_sha256"])
        refused = command("--mode=evaluate", f"--output_dir={self.run}", *own[:2])
        self.assert_refused(refused, "--augmentation=", "a record alone does not run")

    def test_what_is_refused_before_anything_is_written(self) -> None:
        line, digits = self.own(dataset="line"), ("--dataset=digits", "--model=mlp")
        both, images = self.own(dataset="both"), (*self.own(dataset="images"), "--model=mlp")
        own = self.own
        for arguments, words in (
            ((*line, "--model=mlp"), "takes class numbers (integers), but the targets"),
            ((*both, *own(model="two")), "{kind: int32[], size: float32[]}: give another --loss"),
            ((*both, "--model=mlp", *own(loss="losses")), "are several ({numbers: float32[3]"),
            (
                (*digits, "--loss=keras:MeanSquaredError"),
                "outputs [samples, 10], and the loss 'mean_squared_error'",
            ),
            ((*digits, "--loss=keras:SparseCategoricalCrossentropy"), "add --loss_options=from_logits=True"),
            (
                (*digits, "--loss=keras:Nothing"),
                "keras.losses has no loss Nothing; it has BinaryCrossentropy",
            ),
            (
                (*digits, "--loss=nothing"),
                "squared_error, keras:NAME, FILE.py:function",
            ),
            ((*digits, *own(loss="nothing")), "returned a int: return a keras.losses.Loss or a function"),
            ((*digits, *own(loss="huber"), "--loss_options=d=1"), "does not take that"),
            (
                (*digits, "--loss=keras:MeanSquaredError", "--label_smoothing=0.1"),
                "has no effect with --loss=",
            ),
            ((*digits, "--loss_options=a=1"), "has no effect with --loss=cross_entropy"),
            ((*line, *own(model="linear", loss="Pairs")), "one per pair of them"),
            ((*line, *own(model="linear", loss="pairs")), "one per pair of them"),
            ((*line, *own(model="linear", loss="failing")), "failed: own.py, line"),
            ((*line, *own(model="linear", loss="silent")), "returns nothing: return one number per sample"),
            ((*line, *own(model="linear", loss="number")), "returns no tensor (int), and so has no gradient"),
            ((*line, *own(model="linear", loss="total")), "returns the sum of its samples' losses"),
            ((*digits, *own(optimizer="fixed")), "returned an optimizer with a rate of its own"),
            ((*images, *own(augmentation="floats")), "made float32[8, 4, 4, 1] of uint8[8, 4, 4, 1]"),
            ((*images, "--augmentation=keras:RandomFlip"), "draw from a state of their own"),
            ((*images, *own(augmentation="drawn")), "another result when it is called again"),
            ((*images, *own(augmentation="mixed")), "other results where fewer samples are together"),
            ((*images, *own(augmentation="cropped")), "return the same shape"),
            ((*images, *own(augmentation="nothing")), "does not take that"),
            (
                (*both, *own(model="two", loss="losses", augmentation="inverted")),
                "is for a network of one input",
            ),
        ):
            with self.subTest(arguments):
                ended = command(*arguments, *self.common, "--epochs=1", f"--output_dir={self.run}")
                self.assert_refused(ended, words)
        bce = (*line, *own(model="linear"), "--loss=keras:BinaryCrossentropy")
        self.assert_refused(
            command(*bce, *self.common, f"--output_dir={self.run}"), "a network of logits, but the loss takes"
        )
        logits = (
            *line,
            *own(model="sigmoid"),
            "--loss=keras:BinaryCrossentropy",
            "--loss_options=from_logits=True",
        )
        self.assert_refused(
            command(*logits, *self.common, f"--output_dir={self.run}"),
            "of probabilities, but the loss takes logits",
        )
        self.assertFalse(self.run.exists())
