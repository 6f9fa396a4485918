"""Whole runs of the command on a tiny setting: what they leave behind, resuming, evaluating, planning."""

import csv
import json
import subprocess
import sys
import textwrap
import unittest
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.command import TINY, CommandTestCase, Ended, command, contents, tiny
from tf_fullbatch import cli_flags
from tf_fullbatch.config.run import Config
from tf_fullbatch.outcomes import Outcome
from tf_fullbatch.records import EVALUATION_COLUMNS, STEP_COLUMNS, RunFolder, read_csv
from tf_fullbatch.training.checkpoints import list_checkpoints, load_checkpoint, load_latest
from tf_fullbatch.training.full_batch_model import FullBatchModel

ROOT = Path(__file__).parents[1]
TIMES = ("images_per_second", "step_seconds", "wall_seconds", "seconds")

# Loads a run's model with Keras alone and evaluates it on the digits' test split, found by scikit-learn alone.
PLAIN_KERAS = """
    import sys, json, keras, numpy as np
    from pathlib import Path
    model = keras.models.load_model(Path(sys.argv[1]) / "model.keras")
    images, labels = np.load(sys.argv[2]), np.load(sys.argv[3])
    logits = model.predict(images, verbose=0)
    assert not any(name.startswith("tf_fullbatch") for name in sys.modules)
    print(json.dumps(float(np.mean(np.argmax(logits, -1) == labels))))
"""


def steps_of(folder: Path) -> list[dict]:
    """metrics.csv without what a clock decides."""
    return [without_times(row) for row in read_csv(folder / "metrics.csv", STEP_COLUMNS)]


def evaluations_of(folder: Path) -> list[dict]:
    """evaluations.csv without what a clock decides."""
    return [without_times(row) for row in read_csv(folder / "evaluations.csv", EVALUATION_COLUMNS)]


def without_times(row: dict) -> dict:
    return {name: value for name, value in row.items() if name not in TIMES}


def summary_of(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value) of TensorBoard's own reading of the event files in a folder."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return {
        tag: [
            (e.step, float(e.tensor_proto.float_val[0]))
            for e in events.Tensors(tag)
            if e.tensor_proto.float_val
        ]
        for tag in events.Tags()["tensors"]
    }


class RunFolderTest(CommandTestCase):
    """One run of four epochs with everything on, looked at from all sides."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.run_folder = cls.shared / "a run, mit Ümlaut"
        cls.arguments = (
            "--epochs=4", "--validation_size=100", "--ema_decay=0.5", "--evaluate_every=2", "--checkpoint_every=1",
            "--keep_checkpoints=2", "--histograms_every=2", "--profile_steps=2,3", "--augmentation=crop",
            "--augmentation_padding=1", "--penalty=forward_differences", "--penalty_strength=0.5", "--clip_norm=0.3",
            "--learning_rate=0.3",
        )  # fmt: skip
        cls.ended = tiny(cls.run_folder, *cls.arguments)
        cls.whole = contents(cls.run_folder)

    def test_every_file_is_there_and_nothing_else(self):
        self.assert_done(self.ended)
        folder = RunFolder(self.run_folder)
        files = [
            folder.config,
            folder.flags,
            folder.metrics,
            folder.evaluations,
            folder.model,
            folder.summary,
        ]
        for file in [*files, folder.curves]:
            self.assertGreater(file.stat().st_size, 0)
        named = {path.name for path in self.run_folder.iterdir()}
        self.assertEqual({*(file.name for file in files), "curves.png", "summaries", "checkpoints"}, named)
        self.assertEqual(b"\x89PNG\r\n\x1a\n", folder.curves.read_bytes()[:8])

    def test_metrics_have_a_row_a_step(self):
        rows = read_csv(self.run_folder / "metrics.csv", STEP_COLUMNS)
        self.assertEqual([1, 2, 3, 4], [row["step"] for row in rows])
        self.assertEqual([1.0, 2.0, 3.0, 4.0], [row["epoch"] for row in rows])
        self.assertEqual([200, 400, 600, 800], [row["samples_seen"] for row in rows])
        for row in rows:
            self.assertEqual({column.name for column in STEP_COLUMNS}, set(row))
            self.assertEqual(row["gradient_norm"] > 0.3, bool(row["clipped"]))
            self.assertAlmostEqual(row["penalised_objective"], row["loss"] + row["penalty"], delta=1e-5)
        with (self.run_folder / "metrics.csv").open(newline="") as file:
            self.assertEqual(len(rows), sum(1 for _ in csv.DictReader(file)))

    def test_evaluations_are_at_their_cadence_of_every_split_and_kind_of_weights(self):
        rows = evaluations_of(self.run_folder)
        kinds = [("validation", "raw"), ("validation", "ema"), ("test", "raw"), ("test", "ema")]
        expected = [(step, *kind) for step in (2, 4) for kind in kinds]
        self.assertEqual(expected, [(row["step"], row["split"], row["weights"]) for row in rows])
        self.assertEqual({100, 450}, {row["samples"] for row in rows})

    def test_summary_agrees_with_the_tables(self):
        summary, rows = summary_of(self.run_folder), evaluations_of(self.run_folder)
        self.assertEqual(("COMPLETED", 4, 4.0), (summary["outcome"], summary["steps"], summary["epochs"]))
        for row in rows[-4:]:
            self.assertEqual(row["accuracy"], summary["final"][row["split"]][row["weights"]]["accuracy"])
        best = max(row["accuracy"] for row in rows if row["split"] == "validation")
        self.assertEqual(best, summary["best"]["validation"]["accuracy"])
        self.assertIn("training completed", self.ended.out)
        self.assertIn(str(self.run_folder), self.ended.out)
        self.assertIn("step 4/4 100%", self.ended.err)

    def test_run_flags_and_config_json_repeat_the_run(self):
        config = cli_flags.parse(["main", *TINY, f"--output_dir={self.run_folder}", *self.arguments])
        self.assertEqual(config, Config.from_dict(json.loads((self.run_folder / "config.json").read_text())))
        self.assertEqual(config, cli_flags.parse(["main", f"--flagfile={self.run_folder / 'run.flags'}"]))

    def test_checkpoints_are_the_newest_and_the_best(self):
        steps = {load_checkpoint(path).step for path in list_checkpoints(self.run_folder / "checkpoints")}
        self.assertLessEqual({3, 4}, steps)
        self.assertLessEqual(steps, {2, 3, 4})
        self.assertIn(summary_of(self.run_folder)["best"]["step"], steps)

    def test_tensorboard_reads_the_summaries(self):
        rows = read_csv(self.run_folder / "metrics.csv", STEP_COLUMNS)
        train = scalars(self.run_folder / "summaries" / "train")
        for (step, value), row in zip(train["1 objective/loss"], rows, strict=True):
            self.assertEqual(step, row["step"])
            self.assertAlmostEqual(value, row["loss"], places=5)
        self.assertTrue(any(tag.startswith("6 distributions/") for tag in train))
        for split in ("validation", "validation-ema", "test", "test-ema"):
            points = scalars(self.run_folder / "summaries" / split)["1 objective/accuracy"]
            self.assertEqual([2, 4], [step for step, _ in points])
        profiles = list(
            (self.run_folder / "summaries" / "train" / "plugins" / "profile").rglob("*.xplane.pb")
        )
        self.assertEqual(1, len(profiles))

    def test_plain_keras_loads_the_model_and_agrees(self):
        from tf_fullbatch.data.sources import load_dataset

        test = load_dataset("digits").test
        for name, array in (("x", test.images), ("y", test.labels)):
            np.save(self.folder / f"{name}.npy", array)
        files = [str(self.run_folder), str(self.folder / "x.npy"), str(self.folder / "y.npy")]
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PLAIN_KERAS), *files],
            capture_output=True, text=True, check=False, cwd=self.folder,
        )  # fmt: skip
        self.assertEqual(0, done.returncode, done.stderr)
        reported = summary_of(self.run_folder)["final"]["test"]["raw"]["accuracy"]
        self.assertAlmostEqual(reported, json.loads(done.stdout.splitlines()[-1]), places=6)

    def test_the_finished_command_again_changes_nothing(self):
        with mock.patch.object(FullBatchModel, "train_step", side_effect=AssertionError("trained")):
            ended = self.assert_done(tiny(self.run_folder, *self.arguments))
            self.assertIn("nothing to do", ended.err)
            self.assertEqual(self.ended.out, ended.out)
            self.assertEqual(("", ""), tiny(self.run_folder, *self.arguments, "--quiet")[1:])
        self.assertEqual(self.whole, contents(self.run_folder))

    def test_evaluate_gives_the_recorded_figures_and_writes_nothing(self):
        ended = self.assert_done(command("--mode=evaluate", f"--output_dir={self.run_folder}"))
        shown = {tuple(line.split()[:2]): line.split()[2:] for line in ended.out.splitlines()[3:]}
        self.assertEqual(6, len(shown))  # training samples as well, of which nothing was recorded
        for row in evaluations_of(self.run_folder)[-4:]:
            figures = [str(row["samples"]), f"{row['loss']:.4f}", f"{100 * row['accuracy']:.2f}"]
            self.assertEqual(figures, shown[row["split"], row["weights"]])
        self.assertEqual(self.whole, contents(self.run_folder))
        flipped = self.assert_done(
            command("--mode=evaluate", f"--output_dir={self.run_folder}", "--flip_averaging")
        )
        self.assertNotEqual(ended.out, flipped.out)
        self.assertEqual(self.whole, contents(self.run_folder))

    def test_initial_weights(self):
        trained = keras.models.load_model(self.run_folder / "model.keras")
        weights = self.folder / "w.weights.h5"
        trained.save_weights(weights)
        test = evaluations_of(self.run_folder)[-2]
        self.assertEqual(("test", "raw"), (test["split"], test["weights"]))
        for name, source in enumerate((self.run_folder, self.run_folder / "model.keras", weights)):
            with self.subTest(source=source):
                # At this rate an epoch changes nothing that can be seen, BatchNorm's statistics aside.
                new = self.folder / str(name)
                arguments = (
                    "--validation_size=100",
                    "--learning_rate=1e-12",
                    "--epochs=1",
                    "--weight_decay=0",
                )
                self.assert_done(tiny(new, *arguments, f"--initial_weights={source}"))
                _, arrays = min(self.first_kernel(new).items()), self.first_kernel(new)
                np.testing.assert_allclose(
                    next(iter(arrays.values())), trained.trainable_weights[0], rtol=1e-5
                )

    @staticmethod
    def first_kernel(folder: Path) -> dict[str, np.ndarray]:
        checkpoint, _ = load_latest(folder / "checkpoints")
        return {name: array for name, array in checkpoint.arrays.items() if name.startswith("network/000/")}


class ResumeTest(CommandTestCase):
    """A run in two parts is the run in one, bit for bit."""

    draws_curves = False

    def assert_resumes(self, *arguments: str) -> None:
        arguments = (*arguments, "--schedule_epochs=6", "--evaluate_every=3", "--checkpoint_every=2")
        whole, parts = self.folder / "whole", self.folder / "parts"
        self.assert_done(tiny(whole, "--epochs=6", *arguments))
        self.assert_done(tiny(parts, "--epochs=3", *arguments))
        ended = self.assert_done(tiny(parts, "--epochs=6", *arguments, "--chunk_micro_batches=1"))
        self.assertRegex(ended.err, r"resuming .* after step \d+ \(epoch 3\)")
        self.assertEqual(steps_of(whole), steps_of(parts))
        self.assertEqual(evaluations_of(whole), evaluations_of(parts))
        one, other = (load_latest(folder / "checkpoints")[0] for folder in (whole, parts))
        self.assertEqual(one.step, other.step)
        np.testing.assert_equal(one.arrays, other.arrays)
        for name in ("samples_seen", "best_accuracy", "best_step"):
            self.assertEqual(one.metadata[name], other.metadata[name])
        loss = scalars(parts / "summaries" / "train")["1 objective/loss"]
        self.assertEqual([row["step"] for row in steps_of(whole)], [step for step, _ in loss])

    def test_full_batch(self):
        self.assert_resumes("--augmentation=crop_flip", "--ema_decay=0.9", "--validation_size=50")

    def test_sgd_with_noise(self):
        self.assert_resumes(
            "--batch_size=64", "--shuffle", "--penalty=nested_tape", "--penalty_strength=0.5",
            "--additive_noise=1e-3", "--multiplicative_noise=0.1", "--activation=softplus", "--optimizer=adamw",
            "--learning_rate=1e-3",
        )  # fmt: skip


class InterruptedTest(CommandTestCase):
    draws_curves = False

    def interrupt(self, at_step: int, *arguments: str) -> Ended:
        original = FullBatchModel.train_step

        def train_step(model: FullBatchModel, iterator):
            if model.steps_completed + 1 == at_step:
                raise KeyboardInterrupt
            return original(model, iterator)

        with mock.patch.object(FullBatchModel, "train_step", train_step):
            return tiny(self.folder, "--epochs=4", *arguments)

    def test_the_last_completed_epoch_is_kept_and_gone_on_from(self):
        arguments = ("--learning_rate=0.3", "--profile_steps=1,4")
        ended = self.interrupt(4, *arguments)
        self.assertEqual(Outcome.INTERRUPTED.exit_code, ended.code)
        self.assertEqual(
            "error: interrupted; the checkpoint step-00000003 is kept. The same command goes on from there.",
            ended.err.splitlines()[-1],
        )
        self.assertEqual(
            ("INTERRUPTED", 3), (summary_of(self.folder)["outcome"], summary_of(self.folder)["steps"])
        )
        ended = self.assert_done(tiny(self.folder, "--epochs=4", *arguments))
        self.assertIn("after step 3 (epoch 3)", ended.err)
        self.assertEqual([1, 2, 3, 4], [row["step"] for row in steps_of(self.folder)])
        self.assertEqual("COMPLETED", summary_of(self.folder)["outcome"])

    def test_within_an_epoch_of_several_steps(self):
        ended = self.interrupt(7, "--batch_size=64", "--quiet")
        self.assertEqual(5, ended.code)
        self.assertEqual("", ended.out)
        # Step 6 is not at an epoch's end, and epoch 1 was not due for a checkpoint.
        self.assertEqual(
            "error: interrupted; no checkpoint was saved yet. The same command starts anew.\n", ended.err
        )
        self.assert_done(tiny(self.folder, "--epochs=4", "--batch_size=64", "--quiet"))
        self.assertEqual(list(range(1, 17)), [row["step"] for row in steps_of(self.folder)])

    def test_before_training(self):
        with mock.patch("tf_fullbatch.composition.load_splits", side_effect=KeyboardInterrupt):
            ended = tiny(self.folder)
        self.assert_refused(ended, "interrupted", "same command", code=5)
        self.assertEqual({}, contents(self.folder))


class VariantsTest(CommandTestCase):
    """Settings that other tests do not pass through the command."""

    draws_curves = False
    LINEAR = ("--model=linear", "--epochs=2", "--quiet")

    def test_each_runs(self):
        variants = [
            "--schedule=cosine --warmup_epochs=1",
            "--schedule=linear",
            "--schedule=constant",
            "--schedule=steps --decay_epochs=1 --decay_factor=0.5",
            "--penalty=nested_tape --penalty_strength=0.5",
            "--penalty=forward_over_reverse --penalty_strength=0.5 --penalty_warmup_epochs=1",
            "--penalty=central_differences --penalty_strength=0.5",
            "--penalty=forward_differences --full_gradient_penalty_strength=0.5",
            "--optimizer=adamw --nodecay_norm_and_bias",
            "--label_smoothing=0.1 --learning_rate_scaling=linear",
            "--clip_norm=0.1 --clip_norm_type=inf --micro_batch_clip_norm=1",
            "--accumulate_dtype=float64",
            "--flip_averaging",
            "--micro_batch_size=200",
            "--batch_size=128",
            "--train_size=1 --micro_batch_size=1 --epochs=1",
            "--seed=2147483647",
            "--strategy=one_device",
            "--model=mlp --width=8 --activation=gelu",
        ]
        for number, arguments in enumerate(variants):
            with self.subTest(arguments=arguments):
                folder = self.folder / str(number)
                ended = tiny(folder, *self.LINEAR, *arguments.split())
                self.assertEqual((0, "", ""), ended)  # --quiet prints nothing on success
                rows = steps_of(folder)
                self.assertTrue(all(np.isfinite(row["loss"]) for row in rows))
                summary = summary_of(folder)
                self.assertEqual(("COMPLETED", rows[-1]["step"]), (summary["outcome"], summary["steps"]))
                self.assertIsNone(summary["best"])  # without a validation set there is only the last step

    def test_precisions(self):
        for policy in (
            "float64",
            "mixed_bfloat16",
            "tf32",
            "float32",
        ):  # the last as the default, for later tests
            with self.subTest(policy=policy):
                folder = self.folder / policy
                self.assertEqual((0, "", ""), tiny(folder, *self.LINEAR, f"--dtype_policy={policy}"))
                checkpoint, _ = load_latest(folder / "checkpoints")
                expected = "float64" if policy == "float64" else "float32"
                kernels = [array for name, array in checkpoint.arrays.items() if name.startswith("network/")]
                self.assertEqual({expected}, {array.dtype.name for array in kernels})

    def test_the_same_seed_gives_the_same_run_and_another_seed_another(self):
        for name, seed in (("one", 0), ("two", 0), ("other", 1)):
            self.assertEqual(0, tiny(self.folder / name, *self.LINEAR, f"--seed={seed}").code)
        self.assertEqual(steps_of(self.folder / "one"), steps_of(self.folder / "two"))
        self.assertNotEqual(steps_of(self.folder / "one"), steps_of(self.folder / "other"))

    def test_without_an_output_dir_the_settings_name_it(self):
        import contextlib

        with contextlib.chdir(self.folder):
            for arguments in ((), ("--epochs=1",), ("--learning_rate=0.2",)):
                ended = command(*TINY, *self.LINEAR, *arguments)
                self.assertEqual(0, ended.code, ended.err)
        folders = list((self.folder / "runs").iterdir())
        self.assertEqual(3, len(folders))
        self.assertTrue(all(folder.name.startswith("digits-linear-") for folder in folders))


class DryRunTest(CommandTestCase):
    def test_its_numbers_are_right_and_nothing_is_written(self):
        output = self.folder / "run"
        arguments = (
            "--dry_run", "--epochs=10", "--batch_size=100", "--validation_size=50", "--penalty=forward_differences",
            "--penalty_strength=0.5", "--full_gradient_penalty_strength=0.5", "--model=linear",
        )  # fmt: skip
        ended = self.assert_done(tiny(output, *arguments))
        self.assertEqual("", ended.err)
        self.assertFalse(output.exists())
        facts = dict(line.split("  ", 1) for line in ended.out.splitlines() if "  " in line)
        facts = {name: text.strip() for name, text in facts.items()}
        self.assertEqual("200 train, 50 validation, 450 test", facts["samples"])
        self.assertEqual(f"{64 * 10 + 10} trainable", facts["parameters"])
        self.assertTrue(
            facts["steps"].startswith("20 in 10 passes of 2; 2 micro-batches of 64"), facts["steps"]
        )
        # Forward differences take two gradients a sample; the pass for the whole gradient one more.
        self.assertEqual(
            "2.00k samples, 3 gradient evaluations each: 6.00k gradient evaluations", facts["cost"]
        )
        # 200 images of 64 bytes and labels of 4.
        self.assertEqual("13.6 kB of training data", facts["host memory"])
        for name in ("device memory", "time", "devices"):
            self.assertIn(name, facts)
        for flag in arguments[1:]:
            self.assertIn(flag, ended.out.splitlines())


class ProcessTest(CommandTestCase):
    """The command as a user starts it."""

    def run_command(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": "/usr/bin:/bin",
            "TERM": "dumb",
            "KERAS_BACKEND": "jax",
            "PYTHONPATH": str(ROOT),
        }
        return subprocess.run(
            [sys.executable, "-m", "tf_fullbatch.main", *arguments],
            env=environment, cwd=self.folder, capture_output=True, text=True, check=False, **options,
        )  # fmt: skip

    def test_standard_error_holds_our_lines_alone(self):
        # No home folder, no terminal, another working folder, another Keras backend in the shell.
        done = self.run_command(*TINY, "--epochs=2", "--output_dir=out put")
        self.assertEqual(0, done.returncode, done.stderr)
        for line in done.stderr.splitlines():
            self.assertRegex(line, r"^step \d/2 ")
        self.assertIn("training completed", done.stdout)
        self.assertTrue((self.folder / "out put" / "summary.json").exists())
        again = self.run_command(*TINY, "--epochs=2", "--output_dir=out put", "--quiet")
        self.assertEqual((0, "", ""), (again.returncode, again.stdout, again.stderr))

    def test_streams_that_are_closed_or_know_no_umlaut(self):
        for number, redirection in enumerate((">&- 2>&-", "")):
            with self.subTest(redirection=redirection):
                line = f"exec {sys.executable} -m tf_fullbatch.main --model=linear --epochs=1 --output_dir=ü{number}"
                environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"}
                done = subprocess.run(
                    ["bash", "-c", f"{line} {redirection}"],
                    env=environment,
                    cwd=self.folder,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                self.assertEqual(0, done.returncode, done.stderr)
                self.assertNotIn("Traceback", done.stderr)
                self.assertEqual("COMPLETED", summary_of(self.folder / f"ü{number}")["outcome"])

    def test_a_reader_that_goes_away(self):
        command_line = f"{sys.executable} -m tf_fullbatch.main --help | head -1; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["bash", "-c", command_line], cwd=ROOT, capture_output=True, text=True, check=True
        )
        self.assertEqual("", done.stderr)
        # 0 where all of the text went into the pipe before its reader left.
        self.assertIn(done.stdout.splitlines()[-1], ("0", "141"))


class QuickstartTest(CommandTestCase):
    def test_shortened(self):
        flags = (
            f"--flagfile={ROOT / 'flags' / 'quickstart.flags'}",
            f"--output_dir={self.folder}",
            "--quiet",
        )
        self.assertEqual(
            (0, "", ""), command(*flags, "--epochs=12", "--warmup_epochs=2", "--evaluate_every=12")
        )
        (test,) = (row for row in evaluations_of(self.folder) if row["split"] == "test")
        # 12 steps reach about 90 %; with the gradient's sign, size or order wrong, they stay near 10 to 30 %.
        self.assertGreater(test["accuracy"], 0.8)

    @pytest.mark.slow
    def test_in_full(self):
        flags = (
            f"--flagfile={ROOT / 'flags' / 'quickstart.flags'}",
            f"--output_dir={self.folder}",
            "--quiet",
        )
        self.assertEqual((0, "", ""), command(*flags))
        self.assertGreaterEqual(summary_of(self.folder)["final"]["test"]["raw"]["accuracy"], 0.985)


if __name__ == "__main__":
    unittest.main()
