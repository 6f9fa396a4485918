"""A report in one call, and how long hundreds of runs take."""

import io
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import tf_fullbatch
from tests.report.made_runs import BASE, SGD, many_arms, write_run
from tf_fullbatch.errors import UserError


class WriteReportTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_a_report_of_many_runs(self):
        many_arms(self.folder, 24, (0,), 20)
        begun = time.process_time()
        written = tf_fullbatch.write_report(
            self.folder, title="Mine", compare=[("arm_001", "arm_000"), "arm_000,arm_002"]
        )
        self.assertLess(time.process_time() - begun, 15)
        self.assertEqual(len(written.table), 24)
        self.assertEqual(written.table["test_accuracy_percent_mean"][0], 95)
        self.assertTrue(all(path.exists() for path in written.paths))
        page = (self.folder / "report/report.md").read_text()
        for expected in ("# Mine", "| arm_001 \u2212 arm_000 |", "| arm_000 \u2212 arm_002 |"):
            self.assertIn(expected, page)
        self.assertLess((self.folder / "report/report.html").stat().st_size, 3e6)
        content = (self.folder / "report/plots/learning_curves.pdf").read_bytes()
        self.assertIn(b"/FontFile2", content)  # TrueType, as type 42 embeds it
        self.assertNotIn(b"/Type3", content)
        self.assertNotIn(b"/CreationDate", content)

    def yardstick(self) -> float:
        """Seconds of processor time to read every table once, and to draw a line for every arm into three files."""
        begun = time.process_time()
        for path in self.folder.rglob("*.csv"):
            pd.read_csv(path)
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        for k in range(100):
            axes.plot(np.arange(300), np.sin(np.arange(300.0) + k))
        for kind in ("svg", "png", "pdf"):
            figure.savefig(io.BytesIO(), format=kind)
        return time.process_time() - begun

    def test_mistakes_are_one_line_in_the_words_of_python(self):
        write_run(self.folder / "a", BASE, 0.9)
        write_run(self.folder / "b,c", SGD, 0.9)
        there = "the arms are a, b,c"
        for arguments, said in (
            (([],), "folders is empty"),
            (([self.folder / "a", self.folder / "b,c"],), "2 folders without output_dir"),
            ((self.folder, None, None, "a,b"), "expected a list of pairs"),
            ((self.folder, None, None, ["a"]), f"cannot compare 'a': two arms are expected, as A,B; {there}"),
            ((self.folder, None, None, ["a,d"]), f"cannot compare 'a,d': there is no arm 'd'; {there}"),
            ((self.folder, None, None, ["a,a"]), f"two arms are expected, as A,B; {there}"),
            ((self.folder / "none",), "no such folder"),
        ):
            with self.subTest(said), self.assertRaisesRegex(UserError, said):
                tf_fullbatch.write_report(*arguments)
        self.assertFalse((self.folder / "report").exists())
        tf_fullbatch.report.loading.load([self.folder], ["b,c,a"])

    @pytest.mark.slow
    def test_three_hundred_runs_cost_little_beside_what_must_be_done(self):
        many_arms(self.folder, 100, (0, 1, 2), 300)
        begun = time.process_time()
        tf_fullbatch.write_report(self.folder)
        # The same work takes 8 to 25 s from hour to hour on one machine: seconds say nothing by themselves.
        self.assertLess(time.process_time() - begun, 12 * self.yardstick())
        self.assertLess((self.folder / "report/report.html").stat().st_size, 10e6)
