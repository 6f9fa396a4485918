"""The command `python -m tf_fullbatch.report`."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import pytest

from tests.report.made_runs import BASE, finished_study, write_run
from tf_fullbatch.commands import report
from tf_fullbatch.commands.report import Options
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records.files import write_text
from tf_fullbatch.report.loading import load

ROOT = Path(__file__).parents[2]


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = report.main(["report", *map(str, arguments)])
    return code, out.getvalue(), err.getvalue()


class ArgumentsTest(unittest.TestCase):
    def test_folders_and_flags_in_any_order(self):
        both = (["a", "b"], Options(output_dir="c", title="a title"))
        for arguments in (
            ["a", "b", "--output_dir=c", "--title=a title"],
            ["--output_dir", "c", "a", "--title", "a title", "b"],
            ["--title=a title", "--output_dir=c", "--", "a", "b"],
        ):
            self.assertEqual(report.parse(["report", *arguments]), both)
        self.assertEqual(report.parse(["report", "a"]), (["a"], Options()))
        self.assertEqual(report.parse(["report", "--", "-a"]), (["-a"], Options()))

    def test_refused(self):
        for arguments, reason in (
            ([], "no folder to report on"),
            (["a", "b"], "2 folders without --output_dir"),
            (["a", "--outputdir=b"], "outputdir.*--help"),
            (["a", "--flagfile=/no/such"], "--flagfile=/no/such: cannot read it"),
        ):
            with self.subTest(arguments), self.assertRaisesRegex(UserError, reason):
                report.parse(["report", *arguments])

    def test_help(self):
        code, out, _ = run("--help")
        self.assertEqual(code, 0)
        for name in Options.__dataclass_fields__:
            self.assertIn(f"  --{name}=", out)


class ReportTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_study_without_tensorflow(self):
        finished_study(self.folder / "study")
        code = (
            "import sys; from tf_fullbatch.commands import report; code = report.main(sys.argv); "
            "print(sorted({'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules))); sys.exit(code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(self.folder / "study")], cwd=ROOT, capture_output=True, text=True
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        self.assertRegex(lines[2], r"^sgd +3 of 3 +95.00 ± 1.00")
        self.assertEqual(lines[-1], "[]")
        written = sorted(path.name for path in (self.folder / "study/report").iterdir())
        self.assertEqual(
            written, ["arms.csv", "arms.tex", "plots", "report.html", "report.md", "results.csv"]
        )
        self.assertIn(f"wrote {self.folder / 'study/report/report.html'}", lines)

    @pytest.mark.slow
    def test_a_terminal_without_unicode_and_one_that_went_away(self):
        for seed, accuracy in enumerate((0.94, 0.96)):
            write_run(self.folder / f"a/seed-{seed}", BASE.replacing(seed=seed), accuracy)
        command = [sys.executable, "-m", "tf_fullbatch.report", str(self.folder / "a")]
        environment = os.environ | {"PYTHONIOENCODING": "ascii"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(r"95.00 \xb1 1.41", done.stdout)
        reader, writer = os.pipe()
        os.close(reader)
        gone = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True)
        os.close(writer)
        self.assertEqual((gone.returncode, gone.stderr), (141, ""))

    def test_hand_made_runs_and_a_title(self):
        write_run(self.folder / "a", BASE, 0.9)
        write_run(self.folder / "b", BASE.replacing(learning_rate=0.2), 0.8, passes=1, outcome=None)
        out_dir = self.folder / "new/report"
        code, out, err = run(
            self.folder / "a", self.folder / "b", f"--output_dir={out_dir}", "--title=Two rates"
        )
        self.assertEqual((code, err), (0, ""))
        self.assertIn("missing: b, seed 0: unfinished: 1 of 4 passes", out)
        self.assertIn("<title>Two rates</title>", (out_dir / "report.html").read_text())
        # The report is no run: one of the folder above would find the same.
        self.assertEqual(load([self.folder]).missing(), ["b, seed 0: unfinished: 1 of 4 passes"])

    def test_mistakes_are_one_line(self):
        damaged = write_run(self.folder / "damaged", BASE, 0.9)
        write_text(damaged.metrics, "step,epoch\n")
        write_run(self.folder / "good", BASE, 0.9)
        for arguments, said in (
            ([self.folder / "absent"], "no such folder"),
            ([self.folder / "damaged"], "damaged or of another version"),
            ([self.folder / "good", "--output_dir=/dev/null/x"], "cannot write /dev/null/x"),
            ([self.folder / "good", "--compare=good,b"], "there is no arm 'b'; the arms are good."),
        ):
            with self.subTest(said):
                code, out, err = run(*arguments)
                self.assertEqual((code, out), (Outcome.USER_ERROR.exit_code, ""))
                self.assertRegex(err, "^error: .*\n$")
                self.assertIn(said, err)

    def test_interrupted(self):
        write_run(self.folder / "good", BASE, 0.9)
        with mock.patch("tf_fullbatch.commands.report.execute", side_effect=KeyboardInterrupt):
            code, _, err = run(self.folder / "good")
        self.assertEqual(code, Outcome.INTERRUPTED.exit_code)
        self.assertRegex(err, "^error: interrupted: .*\n$")
