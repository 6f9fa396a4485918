"""Runs with controls: what is recorded, the same bits when run again and resumed, and what is refused before."""

import dataclasses
import textwrap

import numpy as np

from tests.command import CommandTestCase, Ended, command, evaluations_of, steps_of, summary_of
from tf_fullbatch import open_run
from tf_fullbatch.config.run import Config
from tf_fullbatch.data.controls.labels import noisy_labels
from tf_fullbatch.records.checkpoints import load_latest
from tf_fullbatch.run.splits import load_splits

_SHORT = (
    "--model=linear", "--train_size=120", "--validation_size=40", "--micro_batch_size=60", "--learning_rate=0.5",
    "--schedule_epochs=4", "--noevaluate_test",
)  # fmt: skip


class ControlsTest(CommandTestCase):
    draws_curves = False

    def short(self, name: str, *arguments: str) -> Ended:
        return command(*_SHORT, f"--output_dir={self.folder / name}", *arguments)

    def test_noise_is_said_and_both_figures_are_recorded(self) -> None:
        ended = self.assert_done(self.short("run", "--epochs=4", "--label_noise=0.4", "--evaluate_every=2"))
        run = open_run(self.folder / "run")
        train, clean = run.splits.train, run.splits.clean_targets
        expected = noisy_labels(clean, train.sample_ids, 10, seed=0, probability=0.4, convention="uniform")
        np.testing.assert_array_equal(train.targets, expected)
        changed = np.flatnonzero(expected != clean)
        self.assertIn(f"{len(changed)} of 120 training labels are others now", ended.err)
        rows = evaluations_of(self.folder / "run")
        splits = ["validation", "noisy_labels", "clean_labels"]
        self.assertEqual(
            [(row["epoch"], row["split"]) for row in rows], [(e, s) for e in (2, 4) for s in splits]
        )
        classes = np.argmax(run.network.predict(train.inputs[changed], verbose=0), axis=1)
        final = summary_of(self.folder / "run")["final"]
        for split, labels in (("noisy_labels", expected), ("clean_labels", clean)):
            fitted = float(np.mean(classes == labels[changed]))
            self.assertAlmostEqual(final[split]["raw"]["accuracy"], fitted, places=6)
            self.assertEqual(final[split]["raw"]["samples"], len(changed))
            self.assertIn(split.replace("_", " "), ended.out)

    def test_run_again_and_resumed_the_bits_are_the_same(self) -> None:
        flags = (
            "--label_noise=0.3", "--label_noise_convention=other", "--pixel_shuffle=per_sample", "--duplicate=0.2",
            "--leave_out=0-9999", "--shuffle", "--batch_size=80", "--deterministic",
        )  # fmt: skip
        ids = load_splits(Config().replacing(train_size=120, validation_size=40)).train.sample_ids
        flags = tuple(f"--leave_out={ids[3]},{ids[50]}" if "leave_out" in flag else flag for flag in flags)
        for name in ("whole", "again"):
            self.assert_done(self.short(name, "--epochs=4", *flags))
        self.assert_done(self.short("parts", "--epochs=2", *flags))
        resumed = self.assert_done(self.short("parts", "--epochs=4", *flags))
        self.assertIn("resuming", resumed.err)
        for other in ("again", "parts"):
            one, two = (load_latest(self.folder / name / "checkpoints")[0] for name in ("whole", other))
            np.testing.assert_equal(one.arrays, two.arrays)
            self.assertEqual(steps_of(self.folder / "whole"), steps_of(self.folder / other))
            self.assertEqual(evaluations_of(self.folder / "whole"), evaluations_of(self.folder / other))
        for changed in ("--label_noise=0.2", "--pixel_shuffle=fixed", "--duplicate=3", "--leave_out=none"):
            other_flags = [f for f in flags if f.partition("=")[0] != changed.partition("=")[0]]
            refused = self.short("parts", "--epochs=4", *other_flags, changed)
            self.assert_refused(refused, changed.partition("=")[0])

    def test_a_changed_list_of_samples_is_refused(self) -> None:
        ids = load_splits(Config().replacing(train_size=120, validation_size=40)).train.sample_ids
        file = self.folder / "ids.txt"
        file.write_text(f"{ids[0]}\n")
        self.assert_done(self.short("run", "--epochs=1", f"--leave_out={file}"))
        file.write_text(f"{ids[1]}\n")
        self.assert_refused(
            self.short("run", "--epochs=2", f"--leave_out={file}"), "--leave_out=", "is not what it was"
        )

    def test_gaussian_inputs_train(self) -> None:
        self.assert_done(self.short("run", "--epochs=1", "--gaussian_inputs", "--random_labels"))
        self.assertEqual(np.float32, open_run(self.folder / "run").splits.train.inputs.dtype)

    def test_refused_before_training(self) -> None:
        own = self.folder / "own.py"
        own.write_text(
            textwrap.dedent("""
                import numpy as np

                def data():
                    x = np.zeros((8, 3), np.float32)
                    return {"train": (x, x)}
            """)
        )
        regression = (
            f"--dataset={own}:data",
            "--loss=keras:MeanSquaredError",
            "--train_size=4",
            "--validation_size=0",
        )
        for flags, words in (
            (("--label_noise=1.1",), "--label_noise=1.1: must be at most 1"),
            (
                (*regression, "--label_noise=0.1", "--micro_batch_size=4"),
                "--label_noise: the targets of this data set",
            ),
            (("--leave_out=99999",), "--leave_out=99999: 99999 are no ids of the 120 training samples"),
            (("--classes=2,cat",), "--classes=2,cat: --dataset=digits has no class 'cat'"),
            (("--duplicate=200",), "--duplicate=200: there are 120 training samples"),
        ):
            self.assert_refused(self.short("run", *flags), words)
        self.assertFalse((self.folder / "run").exists())

    def test_older_runs_have_no_controls(self) -> None:
        older = Config().to_dict()
        del older["controls"]
        older["data"]["classes"] = 4
        read = Config.from_dict(older)
        self.assertEqual(read, dataclasses.replace(read, controls=Config().controls))
        self.assertEqual("4", read.data.classes)
