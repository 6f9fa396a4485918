"""Costs around a step: own arrays beside built-in ones, reports of many runs."""

import unittest

import pytest

from tf_fullbatch.benchmark import whole_runs
from tf_fullbatch.benchmark.options import Options


@pytest.mark.slow
class WholeRunsTest(unittest.TestCase):
    def test_own_arrays(self) -> None:
        found = whole_runs.own_arrays(Options(own_arrays=True, repeats=2, seconds=0), print)
        self.assertEqual([len(s) for s in found["seconds"].values()], [2, 2])
        self.assertLessEqual(found["ratio"]["least"], found["ratio"]["median"])
        self.assertIn("<= 1.02", whole_runs.own_arrays_table(found))

    def test_reports(self) -> None:
        (found,) = whole_runs.report_seconds(Options(report_runs=(6,)), print)
        self.assertEqual(found["runs"], 6)
        self.assertGreater(found["seconds"], 0)
        self.assertRegex(whole_runs.report_table([found]), r"\n +6 +\d+\.\d$")
