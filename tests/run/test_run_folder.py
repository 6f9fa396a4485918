"""What a run leaves behind: one run with everything on, looked at from all sides."""

import csv
import json
import shutil
import subprocess
import sys
import textwrap
import unittest
from unittest import mock

import keras
import numpy as np

from tests.command import TINY, CommandTestCase, command, contents, evaluations_of, scalars, summary_of, tiny
from tests.rows import read_rows
from tf_fullbatch.config import cli_flags
from tf_fullbatch.records.checkpoints import list_checkpoints, load_checkpoint, load_latest
from tf_fullbatch.records.columns import STEP_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.training.full_batch_model import FullBatchModel

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
        rows = read_rows(self.run_folder / "metrics.csv", STEP_COLUMNS)
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
        self.assertEqual(config, RunFolder(self.run_folder).read_config())
        self.assertEqual(config, cli_flags.parse(["main", f"--flagfile={self.run_folder / 'run.flags'}"]))

    def test_checkpoints_are_the_newest_and_the_best(self):
        steps = {load_checkpoint(path).step for path in list_checkpoints(self.run_folder / "checkpoints")}
        self.assertLessEqual({3, 4}, steps)
        self.assertLessEqual(steps, {2, 3, 4})
        self.assertIn(summary_of(self.run_folder)["best"]["step"], steps)

    def test_tensorboard_reads_the_summaries(self):
        rows = read_rows(self.run_folder / "metrics.csv", STEP_COLUMNS)
        train = scalars(self.run_folder / "summaries" / "train")
        for (step, value), row in zip(train["loss"], rows, strict=True):
            self.assertEqual(step, row["step"])
            self.assertAlmostEqual(value, row["loss"], places=5)
        self.assertTrue(any(tag.startswith("weights/") for tag in train))
        for split in ("validation", "validation-ema", "test", "test-ema"):
            points = scalars(self.run_folder / "summaries" / split)["accuracy"]
            self.assertEqual([2, 4], [step for step, _ in points])
        profiles = list(
            (self.run_folder / "summaries" / "train" / "plugins" / "profile").rglob("*.xplane.pb")
        )
        self.assertEqual(1, len(profiles))

    def test_plain_keras_loads_the_model_and_agrees(self):
        from tf_fullbatch.data.settings import DataConfig

        test = DataConfig(dataset="digits").load().test
        for name, array in (("x", test.inputs), ("y", test.targets)):
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

    def test_a_finished_run_without_its_tables_is_refused(self):
        copy = self.folder / "without"
        for name, damage, said in (
            ("metrics.csv", lambda path: path.unlink(), "without its metrics.csv"),
            ("evaluations.csv", lambda path: path.unlink(), "without its evaluations.csv"),
            (
                "metrics.csv",
                lambda path: path.write_bytes(path.read_bytes()[:-20]),
                "does not end with its last step, 4",
            ),
        ):
            with self.subTest(said):
                shutil.copytree(self.run_folder, copy)
                damage(copy / name)
                before = contents(copy)
                ended = tiny(copy, *self.arguments)
                self.assertEqual(2, ended.code)
                self.assertIn(said, ended.err)
                self.assertEqual(before, contents(copy))
                shutil.rmtree(copy)

    def test_evaluate_gives_the_recorded_figures_and_writes_nothing(self):
        ended = self.assert_done(command("--mode=evaluate", f"--output_dir={self.run_folder}"))
        shown = {tuple(line.split()[:2]): line.split()[2:] for line in ended.out.splitlines()[3:]}
        self.assertEqual(6, len(shown))  # training samples as well, of which nothing was recorded
        for row in evaluations_of(self.run_folder)[-4:]:
            figures = [str(row["samples"]), f"{row['cross_entropy']:.4f}", f"{row['loss']:.4f}"]
            figures.append(f"{100 * row['accuracy']:.2f}")
            self.assertEqual(figures, shown[row["split"], row["weights"]])
        self.assertEqual(self.whole, contents(self.run_folder))
        flipped = self.assert_done(
            command("--mode=evaluate", f"--output_dir={self.run_folder}", "--flip_averaging")
        )
        self.assertNotEqual(ended.out, flipped.out)
        others = ("--seed=41", "--momentum=0.3")
        refused = command("--mode=evaluate", f"--output_dir={self.run_folder}", *others)
        self.assert_refused(
            refused,
            *(f"{other} (there " for other in others),
            "): --mode=evaluate takes a run's own settings. Leave them out.",
        )
        self.assertEqual(self.whole, contents(self.run_folder))

    def test_initial_weights(self):
        trained = keras.models.load_model(self.run_folder / "model.keras")
        weights = self.folder / "w.weights.h5"
        trained.save_weights(weights)
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
                checkpoint, _ = load_latest(new / "checkpoints")
                (kernel,) = (a for name, a in checkpoint.arrays.items() if name.startswith("network/000/"))
                np.testing.assert_allclose(kernel, trained.trainable_weights[0], rtol=1e-5)


if __name__ == "__main__":
    unittest.main()
