"""The command tf_fullbatch.study, on real runs."""

import contextlib
import io
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pytest

from tests.studies.studies import in_folder
from tf_fullbatch.commands import study
from tf_fullbatch.records.trials_file import read_trials

ARMS = ("--arm=a rows/a.flags", "--arm=b rows/b.flags --learning_rate=1e30", "--all_arms=--epochs=3")


class StudyTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        in_folder(self.folder / "rows", "a.flags", "b.flags")
        self.enterContext(contextlib.chdir(self.folder))

    def run_main(self, *arguments: str) -> tuple[int, str, str]:
        with (
            contextlib.redirect_stdout(io.StringIO()) as out,
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            code = study.main(["study", "--output_dir=out", *arguments])
        return code, out.getvalue(), err.getvalue()

    def test_runs_reports_and_goes_on(self):
        code, out, err = self.run_main(*ARMS, "--seeds=7", "--compare=a b")
        self.assertEqual(3, code, err)  # b diverges
        self.assertIn("1 of 2 runs completed.", out)
        self.assertRegex(err, r"error: 1 failed, as said above: b, seed 7 \(exit code 3\)")
        summary = json.loads(Path("out/a/seed-7/summary.json").read_text())
        self.assertEqual(("COMPLETED", 3.0), (summary["outcome"], summary["epochs"]))
        self.assertTrue(Path("out/report/report.html").exists())
        code, out, err = self.run_main(
            ARMS[0], ARMS[2], "--seeds=7", "--arm=b rows/b.flags --learning_rate=0.1"
        )
        self.assertEqual(2, code)
        self.assertRegex(
            err, r"error: .*arm 'b' has other settings \(--learning_rate: 1e\+30 there, 0.1 now\)"
        )
        changed = Path("out/a/seed-7/metrics.csv").stat().st_mtime_ns
        code, out, err = self.run_main(
            *ARMS[:1], ARMS[2], "--arm=b rows/b.flags --learning_rate=1e30", "--seeds=7"
        )
        self.assertIn("1 of 2 runs are finished already.", err)
        self.assertEqual(changed, Path("out/a/seed-7/metrics.csv").stat().st_mtime_ns)

    @pytest.mark.slow
    def test_a_sweep_chooses_and_goes_on(self):
        arms = ("--arm=a rows/a.flags", "--all_arms=--epochs=3 --validation_size=100", "--seeds=7")
        code, out, err = self.run_main(*arms, "--sweep=learning_rate=0.01,0.1,1e30")
        self.assertEqual(0, code, err)
        self.assertIn("a: chosen by validation accuracy", err)
        self.assertNotIn("error:", err)
        table = read_trials("out")
        self.assertEqual(["completed", "completed", "non finite"], table["status"].tolist())
        self.assertEqual([False, True, False], table["chosen"].tolist())
        self.assertNotIn("test", Path("out", table["folder"][0], "evaluations.csv").read_text())
        self.assertIn("test", Path("out/a/seed-7/evaluations.csv").read_text())
        results = Path("out/report/results.csv").read_text().splitlines()
        self.assertEqual(2, len(results), results)  # headings and the one run; no trial
        code, out, err = self.run_main(*arms, "--sweep=learning_rate=0.01,0.1,1e30", "--dry_run")
        self.assertIn("Nothing is left to be done.", out)

    def test_dry_run(self):
        code, out, _ = self.run_main(
            *ARMS, "--dry_run", "--all_arms=--penalty=nested_tape --penalty_strength=1"
        )
        self.assertEqual(0, code)
        # 3 passes over 64 samples with 2 gradient evaluations each, 3 seeds.
        self.assertRegex(out, r"\na +0\.1 to 0\.025 +3 +64 +2 +576 +1\.15k +0 of 3\n")
        self.assertIn("In all 2.30k gradient evaluations", out)
        self.assertIn("Time: not known before a run is finished; --calibrate measures", out)
        self.assertEqual(["rows"], [path.name for path in self.folder.iterdir()])

    def test_mistakes_are_one_line(self):
        Path("file").touch()
        for arguments, said in (
            (("--arm=a rows/none.flags",), "cannot read it"),
            (("--arm=a rows/a.flags", "--output_dir=rows"), "holds files but no study"),
            (("--arm=a rows/a.flags", "--output_dir=file"), "it is a file"),
            (("--arm=a rows/a.flags", "--all_arms=--dataset=digits --train_size=none --validation_size=1347"),
             "arm 'a': --validation_size=1347"),
            (("--arm=a rows/a.flags", "--all_arms=--train_size=none --micro_batch_size=2000"),
             "arm 'a': --micro_batch_size=2000 is larger than the training set of 1347 samples"),
            (("--arm=a rows/a.flags", "--sweep=learning_rate=1,2"), "its sweep has no samples to choose by"),
            (("--arm=a rows/a.flags", "--calibrate"), "--calibrate measures this machine for the plan of --dry_run"),
            (("--arm=a rows/a.flags", "--launcher=slurm", "--jobs=2"), "--jobs=2 has no effect with --launcher=slurm"),
            (("--arm=a rows/a.flags", "--slurm_options=partition=x"), "has no effect without --launcher=slurm"),
        ):  # fmt: skip
            with self.subTest(arguments):
                code, _, err = self.run_main(*arguments)
                self.assertEqual((2, 1), (code, len(err.splitlines())), err)
                self.assertIn(said, err)

    def test_help_without_tensorflow(self):
        code = (
            "import sys\nfrom tf_fullbatch.study import main\nassert main(['study', '--help']) == 0\n"
            "assert not {'tensorflow', 'keras'} & set(sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertIn("--arm=", done.stdout)


if __name__ == "__main__":
    unittest.main()
