"""The command on settings of all kinds, as a plan, as a process of its own, and the quickstart."""

import contextlib
import subprocess
import sys
import unittest
from pathlib import Path

import numpy as np
import pytest

from tests.command import TINY, CommandTestCase, command, evaluations_of, steps_of, summary_of, tiny
from tf_fullbatch.records.checkpoints import load_latest

ROOT = Path(__file__).parents[2]


class VariantsTest(CommandTestCase):
    """Settings that other tests do not pass through the command."""

    draws_curves = False
    LINEAR = ("--model=linear", "--epochs=2", "--quiet")

    @pytest.mark.slow
    def test_each_runs(self):
        variants = [
            "--schedule=cosine --warmup_epochs=1 --optimizer=adamw --nodecay_norm_and_bias",
            "--schedule=linear --penalty=nested_tape --penalty_strength=0.5",
            "--schedule=constant --penalty=central_differences --penalty_strength=0.5 --seed=2147483647",
            "--schedule=steps --decay_epochs=1 --decay_factor=0.5 --label_smoothing=0.1 --batch_size=128",
            "--penalty=forward_over_reverse --penalty_strength=0.5 --penalty_warmup_epochs=1 --strategy=one_device",
            "--penalty=forward_differences --full_gradient_penalty_strength=0.5 --learning_rate_scaling=linear",
            "--clip_norm=0.1 --clip_norm_type=inf --micro_batch_clip_norm=1 --accumulate_dtype=float64",
            "--flip_averaging --micro_batch_size=200",
            "--train_size=1 --micro_batch_size=1 --epochs=1",
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

    def test_without_test_samples(self):
        arguments = (*self.LINEAR, "--train_size=128", "--validation_size=100")
        for name, split in (("both", {"validation", "test"}), ("one", {"validation"})):
            own = ("--noevaluate_test",) if name == "one" else ()
            self.assertEqual(0, tiny(self.folder / name, *arguments, *own).code)
            self.assertEqual(split, {row["split"] for row in evaluations_of(self.folder / name)})
        self.assertEqual({}, summary_of(self.folder / "one")["final"]["test"])
        self.assertEqual(steps_of(self.folder / "both"), steps_of(self.folder / "one"))

    @pytest.mark.slow
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
        self.assertEqual("timing two micro-batches of 64\n", ended.err)
        self.assertFalse(output.exists())
        facts = dict(line.split("  ", 1) for line in ended.out.splitlines() if "  " in line)
        facts = {name: text.strip() for name, text in facts.items()}
        self.assertEqual("200 training, 50 validation, 450 test", facts["samples"])
        self.assertEqual(f"{64 * 10 + 10} trainable", facts["parameters"])
        self.assertTrue(
            facts["steps"].startswith("20 in 10 passes of 2; 2 micro-batches of 64"), facts["steps"]
        )
        # Forward differences take two gradients per sample; the pass for the whole gradient one more.
        self.assertEqual(
            "2.00k samples, 3 gradient evaluations each: 6.00k gradient evaluations", facts["cost"]
        )
        # Images of 64 bytes and labels of 4: 200, 50 and 450.
        self.assertEqual(
            "47.6 kB of samples: training 13.6 kB, validation 3.4 kB, test 30.6 kB", facts["host memory"]
        )
        # And sample numbers of 8 bytes.
        self.assertIn("training 15.2 kB", facts["device memory"])
        for name in ("time", "devices"):
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
            "PYTHONIOENCODING": "ascii",
            "PYTHONPATH": str(ROOT),
        }
        return subprocess.run(
            [sys.executable, "-m", "tf_fullbatch.main", *arguments],
            env=environment, cwd=self.folder, capture_output=True, text=True, check=False, **options,
        )  # fmt: skip

    def test_standard_error_holds_our_lines_alone(self):
        # Another working folder and Keras backend, no home, no terminal, an encoding without the folder's letters.
        done = self.run_command(*TINY, "--epochs=2", "--output_dir=öut put")
        self.assertEqual(0, done.returncode, done.stderr)
        for line in done.stderr.splitlines():
            self.assertRegex(line, r"^(step \d/2 |digits: 200 training, 450 test samples$)")
        self.assertIn("training completed", done.stdout)
        self.assertTrue((self.folder / "öut put" / "summary.json").exists())

    def test_closed_streams(self):
        line = (
            f"exec {sys.executable} -m tf_fullbatch.main --model=linear --epochs=1 --output_dir=run >&- 2>&-"
        )
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(["bash", "-c", line], env=environment, cwd=self.folder, check=False)
        self.assertEqual(0, done.returncode)
        self.assertEqual("COMPLETED", summary_of(self.folder / "run")["outcome"])

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
        self.assertEqual((0, "", ""), command(*flags, "--epochs=12", "--evaluate_every=12"))
        (test,) = (row for row in evaluations_of(self.folder) if row["split"] == "test")
        # 88 to 95 % were measured (seeds 0, 1, 2); 32 % where the head alone is trained, 10 % where nothing is.
        self.assertGreater(test["accuracy"], 0.8)

    @pytest.mark.slow
    def test_in_full(self):
        flags = (
            f"--flagfile={ROOT / 'flags' / 'quickstart.flags'}",
            f"--output_dir={self.folder}",
            "--quiet",
        )
        self.assertEqual((0, "", ""), command(*flags))
        # 98.0 to 98.7 % (seeds 0, 1, 2).
        self.assertGreaterEqual(summary_of(self.folder)["final"]["test"]["raw"]["accuracy"], 0.975)


if __name__ == "__main__":
    unittest.main()
