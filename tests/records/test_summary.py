"""The content of summary.json."""

import math
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from tests.rows import table_of
from tf_fullbatch.display.text import summary_table
from tf_fullbatch.errors import Outcome
from tf_fullbatch.records import files
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.summary import best_evaluation, git_revision, run_summary, versions


def evaluation(step: int, accuracy: float | None, split: str = "validation", **more: object) -> dict:
    row = {"step": step, "epoch": float(step), "split": split, "weights": "raw", "accuracy": accuracy}
    return {**row, "loss": 1.0, "samples": 10, **more}


class BestTest(unittest.TestCase):
    def test_validation_chooses_and_test_never_does(self):
        rows = [
            evaluation(1, 0.8),
            evaluation(1, 0.7, "test"),
            evaluation(2, 0.7),
            evaluation(2, 0.99, "test"),
        ]
        best = best_evaluation(table_of(rows, EVALUATION_COLUMNS))
        self.assertEqual((best["step"], best["weights"]), (1, "raw"))
        self.assertEqual(best["validation"], {"loss": 1.0, "accuracy": 0.8, "samples": 10})
        self.assertEqual(best["test"]["accuracy"], 0.7)

    def test_ties_go_to_the_lower_loss_then_to_the_earlier_step(self):
        rows = [evaluation(1, 0.8), evaluation(2, 0.8, loss=0.5), evaluation(3, 0.8, loss=0.5)]
        self.assertEqual(best_evaluation(table_of(rows, EVALUATION_COLUMNS))["step"], 2)

    def test_nan_and_blank_are_never_best(self):
        rows = [evaluation(1, math.nan), evaluation(2, 0.1), evaluation(3, None)]
        self.assertEqual(best_evaluation(table_of(rows, EVALUATION_COLUMNS))["step"], 2)
        self.assertIsNone(
            best_evaluation(table_of([rows[0], rows[2], evaluation(1, 0.9, "test")], EVALUATION_COLUMNS))
        )

    def test_figures_of_other_weights_are_not_mixed(self):
        rows = [evaluation(1, 0.8, weights="ema"), evaluation(1, 0.7, "test")]
        best = best_evaluation(table_of(rows, EVALUATION_COLUMNS))
        self.assertEqual((best["weights"], best["test"]), ("ema", None))


class SummaryTest(unittest.TestCase):
    def test_a_loss_that_is_nan_is_shown(self):
        summary = run_summary(
            outcome=Outcome.COMPLETED,
            metrics=table_of([], STEP_COLUMNS),
            evaluations=table_of([evaluation(1, 0.25, "test", loss=math.nan)], EVALUATION_COLUMNS),
            output_dir=Path("a"),
            device="CPU",
        )
        self.assertTrue(math.isnan(summary["final"]["test"]["raw"]["loss"]))
        self.assertRegex(summary_table(summary), r"\ntest, step 1 +accuracy 25.00 %, objective nan\n")

    def test_content_survives_json(self):
        metrics = [
            {"step": 1, "epoch": 1.0, "loss": math.inf, "images_per_second": 1.0, "wall_seconds": 9.0},
            {"step": 2, "epoch": 2.0, "loss": math.nan, "images_per_second": 10.0, "wall_seconds": 10.0},
        ]
        summary = run_summary(
            outcome=Outcome.INTERRUPTED,
            metrics=table_of(metrics, STEP_COLUMNS),
            evaluations=table_of([evaluation(1, 0.25, "test")], EVALUATION_COLUMNS),
            output_dir=Path("a"),
            device="CPU",
        )
        with tempfile.TemporaryDirectory() as folder:
            files.write_json(Path(folder) / "summary.json", summary)
            read = files.read_json(Path(folder) / "summary.json")
        self.assertEqual(read["format_version"], 1)
        self.assertEqual((read["outcome"], read["message"]), ("INTERRUPTED", Outcome.INTERRUPTED.value))
        self.assertEqual(read["final"]["train"], {"step": 2, "loss": "nan"})
        self.assertEqual(read["final"]["test"]["raw"]["accuracy"], 0.25)
        self.assertEqual((read["steps"], read["epochs"], read["wall_seconds"]), (2, 2.0, 10.0))
        # The first step, which compiles, does not count.
        self.assertEqual(read["images_per_second"], 10.0)
        self.assertIsNone(read["best"])

    def test_versions(self):
        found = versions()
        self.assertEqual(found["python"], ".".join(map(str, sys.version_info[:3])))
        self.assertRegex(found["numpy"] or "", r"^\d+\.\d+")


class GitTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(self.folder), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def test_outside_git(self):
        self.assertIsNone(git_revision(self.folder))
        self.assertIsNone(git_revision(self.folder / "missing"))

    def test_clean_and_modified(self):
        self.git("init", "-q")
        (self.folder / "a").write_text("1")
        self.git("add", "a")
        self.git("commit", "-qm", "a")
        head = self.git("rev-parse", "HEAD")
        self.assertEqual(git_revision(self.folder), head)
        (self.folder / "a").write_text("2")
        self.assertEqual(git_revision(self.folder), head + "-modified")

    def test_untracked_package_inside_a_repository_is_not_its_commit(self):
        self.test_clean_and_modified()
        (self.folder / "site-packages").mkdir()
        self.assertIsNone(git_revision(self.folder / "site-packages"))


if __name__ == "__main__":
    unittest.main()
