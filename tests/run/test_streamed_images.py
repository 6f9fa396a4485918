"""Runs over images that stay in their files: the numbers of loaded ones, and of a run without a break."""

import re
import shutil
import signal
import subprocess
import sys
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

from tests.command import CommandTestCase, Ended, command, evaluations_of, steps_of
from tf_fullbatch.errors import Outcome
from tf_fullbatch.records.checkpoints import load_latest
from tf_fullbatch.training.full_batch_model import FullBatchModel

SETTINGS = (
    "--image_size=4", "--model=mlp", "--width=3", "--micro_batch_size=4", "--validation_size=4",
    "--learning_rate=0.1", "--warmup_epochs=0", "--schedule_epochs=4", "--evaluate_every=2",
)  # fmt: skip
"""Of 48 * 3 + 3 + 3 * 2 + 2 = 155 parameters."""


class StreamedTest(CommandTestCase):
    draws_curves = False

    def setUp(self) -> None:
        super().setUp()
        rng = np.random.default_rng(0)
        for i in range(26):
            path = self.folder / "images" / "ab"[i % 2] / f"{i:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (6 + i % 3, 7, 3)).astype(np.uint8)
            path.write_bytes(tf.io.encode_png(pixels).numpy())

    def flags(self, name: str, *arguments: str) -> list[str]:
        return [
            f"--dataset={self.folder / 'images'}/", *SETTINGS, f"--output_dir={self.folder / name}", *arguments
        ]  # fmt: skip

    def run_of(self, name: str, *arguments: str) -> Ended:
        return command(*self.flags(name, *arguments))

    def assert_same(self, one: str, other: str) -> None:
        a, b = self.folder / one, self.folder / other
        self.assertEqual(steps_of(a), steps_of(b))
        self.assertEqual(evaluations_of(a), evaluations_of(b))
        left, right = (load_latest(folder / "checkpoints")[0].arrays for folder in (a, b))
        np.testing.assert_equal(left, right)

    def test_as_loaded_images_to_the_bit(self) -> None:
        more = ("--epochs=2", "--augmentation=crop_flip", "--augmentation_padding=1")
        self.assert_done(self.run_of("loaded", "--data_on_device=off", *more))
        self.assert_done(self.run_of("streamed", "--stream_images=on", *more))
        self.assert_same("loaded", "streamed")

    def test_random_crops_of_a_run_that_was_broken_off_within_a_pass(self) -> None:
        # 22 samples: steps of 6, 6, 6 and 4.
        more = ("--random_resized_crop", "--batch_size=6", "--shuffle", "--checkpoint_every=1")
        self.assert_done(self.run_of("whole", *more, "--epochs=4"))
        original = FullBatchModel.train_step

        def train_step(model: FullBatchModel, most: int) -> Any:
            if model.steps_completed == 6:  # the third step of the second pass begins
                signal.raise_signal(signal.SIGTERM)
            return original(model, 1)

        with mock.patch.object(FullBatchModel, "train_step", train_step):
            ended = self.run_of("parts", *more, "--epochs=4")
        self.assertEqual(ended.code, Outcome.INTERRUPTED.exit_code)
        ended = self.assert_done(self.run_of("parts", *more, "--epochs=4", "--chunk_micro_batches=1"))
        self.assertRegex(ended.err, r"resuming .* after step 6")
        self.assert_same("whole", "parts")

    def test_replicas_sum_the_same(self) -> None:
        more = ("--random_resized_crop", "--epochs=2")
        self.assert_done(self.run_of("one", *more))
        flags = self.flags("three", *more, "--simulate_devices=3")
        subprocess.run([sys.executable, "-m", "tf_fullbatch.main", *flags], check=True, capture_output=True)
        for one, three in zip(*(steps_of(self.folder / name) for name in ("one", "three")), strict=True):
            self.assertAlmostEqual(one["loss"], three["loss"], delta=1e-6 * abs(one["loss"]))

    def test_evaluations_are_of_whole_images(self) -> None:
        noise = ("--label_noise=0.9", "--learning_rate=1e-9", "--epochs=2", "--batch_size=full")
        crops = ("--random_resized_crop", "--stream_images=on")
        self.assert_done(self.run_of("whole", *noise, "--data_on_device=off"))
        self.assert_done(self.run_of("crops", *noise, *crops))
        of_both = [evaluations_of(self.folder / name) for name in ("whole", "crops")]
        changed = [[row for row in rows if row["split"].endswith("labels")] for rows in of_both]
        self.assertEqual(len(changed[0]), 2)
        for whole, cropped in zip(*changed, strict=True):
            self.assertAlmostEqual(whole["loss"], cropped["loss"], delta=1e-5)
        shown = [
            self.assert_done(command("--mode=evaluate", f"--output_dir={self.folder / name}")).out
            for name in ("whole", "crops")
        ]
        losses = [re.search(r"train +raw +22 +(\S+)", text) for text in shown]
        assert losses[0]
        assert losses[1]
        self.assertAlmostEqual(float(losses[0][1]), float(losses[1][1]), delta=2e-4)

    def test_what_random_crops_refuse(self) -> None:
        for more, words in (
            (("--augmentation=flip", "--max_up=2"), "--max_up=2 with --random_resized_crop"),
            (("--data_on_device=on",), "--data_on_device=on with --random_resized_crop"),
        ):
            self.assert_refused(self.run_of("refused", "--random_resized_crop", "--epochs=1", *more), words)
            self.assertFalse((self.folder / "refused" / "metrics.csv").exists())
        small = ("--image_size=4", "--model=mlp", "--width=3", "--activation=tanh", "--epochs=1")
        crops = (f"--dataset={self.folder / 'images'}/", "--random_resized_crop", *small)
        for method in (("--optimizer=lbfgs",), ("--optimizer=gradient_flow", "--schedule=constant")):
            ended = command(*crops, *method, f"--output_dir={self.folder / 'refused'}")
            self.assert_refused(ended, "--random_resized_crop")

    def test_what_is_refused(self) -> None:
        (self.folder / "images" / "a" / "04.png").write_bytes(b"no image")
        ended = self.run_of("refused", "--stream_images=on", "--epochs=1")
        self.assertEqual(ended.code, 2)
        self.assertRegex(
            ended.err,
            r"^error: --dataset=.*images/: .*a/04.png does not decode as an image: mend it or take it out.\n$",
        )

    def test_controls_of_pixels_are_refused_by_what_to_do(self) -> None:
        for control in ("pixel_shuffle=fixed", "gaussian_inputs"):
            ended = self.run_of("controlled", "--stream_images=on", "--epochs=1", f"--{control}")
            self.assertEqual(ended.code, 2)
            name = control.partition("=")[0]
            self.assertRegex(
                ended.err, rf"^error: --{name} is for images in memory.*give --stream_images=off"
            )
            self.assert_done(self.run_of(name, "--stream_images=off", "--epochs=1", f"--{control}"))

    def test_a_broken_image_that_is_not_trained_on_is_found_before_training(self) -> None:
        images = self.folder / "images"
        for split in ("train", "val", "test"):
            shutil.copytree(images, self.folder / "split" / split)
        own = self.folder / "own.py"
        own.write_text(
            "import keras\n"
            "def network(input_shape, num_classes, **others):\n"
            "    layers = [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)]\n"
            "    return keras.Sequential(layers)\n"
        )
        flags = (
            "--image_size=4", "--micro_batch_size=4", "--learning_rate=0.1", "--warmup_epochs=0", "--epochs=1",
            "--stream_images=on", f"--dataset={self.folder / 'split'}/", f"--output_dir={self.folder / 'run'}",
        )  # fmt: skip
        linear, users = "--model=linear", f"--model={own}:network"
        for split, model in (("val", linear), ("test", linear), ("train", users)):
            path = self.folder / "split" / split / "b" / "07.png"
            whole = path.read_bytes()
            path.write_bytes(whole[:-30])  # its header is whole
            ended = command(*flags, model)
            self.assertEqual(ended.code, 2, ended.err)
            self.assertRegex(ended.err, rf"^error: --dataset=\S*split/: \S*{split}/b/07.png does not decode")
            self.assertFalse((self.folder / "run").exists())
            if split == "test":
                self.assert_done(
                    command(*flags[:-1], model, "--noevaluate_test", f"--output_dir={self.folder / 'other'}")
                )
            path.write_bytes(whole)
        self.assert_done(command(*flags, linear))
