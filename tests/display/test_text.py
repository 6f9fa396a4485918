"""Numbers, tables and the final summary as a reader sees them."""

import textwrap
import unittest

from tests.rows import table_of
from tf_fullbatch.display.text import (
    format_count,
    format_duration,
    format_percentage,
    format_table,
    summary_table,
)
from tf_fullbatch.errors import Outcome
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.summary import run_summary


class NumbersTest(unittest.TestCase):
    def test_counts_have_three_digits(self):
        for value, text in (
            (0, "0"), (0.0512, "0.05"), (1.234, "1.23"), (9.996, "10.0"), (87.34, "87.3"), (99.96, "100"),
            (999.4, "999"), (999.6, "1.00k"), (61234, "61.2k"), (11173962, "11.2M"), (-2500, "-2.50k"),
            (float("inf"), "inf"),
        ):  # fmt: skip
            self.assertEqual(format_count(value), text)

    def test_durations_have_two_units(self):
        for seconds, text in (
            (0, "0ms"), (0.25, "250ms"), (0.9999, "1.0s"), (7.31, "7.3s"), (9.97, "10s"), (59.6, "1m00s"),
            (3599.4, "59m59s"), (3720, "1h02m"), (86399, "1d00h"), (180000, "2d02h"), (float("nan"), "?"),
        ):  # fmt: skip
            self.assertEqual(format_duration(seconds), text)

    def test_percentages_have_two_decimals(self):
        self.assertEqual(format_percentage(0.95698), "95.70 %")
        self.assertEqual(format_percentage(None), "-")


class TableTest(unittest.TestCase):
    headers = ("variant", "images/s", "cost")
    rows = (("none", 61234.5, "1.00x"), ("forward differences", 31000, None))

    def test_plain(self):
        expected = """\
            variant              images/s   cost
            -------------------  --------  -----
            none                  61234.5  1.00x
            forward differences     31000      -"""
        self.assertEqual(format_table(self.headers, self.rows, "<>>"), textwrap.dedent(expected))

    def test_no_rows_and_left_by_default(self):
        self.assertEqual(format_table(("a", "bc"), ()), "a  bc\n-  --")

    def test_uneven_input_is_refused(self):
        with self.assertRaisesRegex(ValueError, "row 0 has 2 cells; expected 3"):
            format_table(self.headers, (("a", "b"),))
        with self.assertRaisesRegex(ValueError, "align is '<'"):
            format_table(self.headers, (), "<")


class SummaryTableTest(unittest.TestCase):
    def test_complete_run(self):
        metrics = [
            {"step": s, "epoch": float(s), "loss": 0.5 / s, "accuracy": 0.9, "wall_seconds": 1240.0 * s}
            for s in (1, 2, 3)
        ]
        metrics = [
            {**row, "cross_entropy": 0.3 / row["step"], "images_per_second": 61234.0} for row in metrics
        ]
        evaluations = [
            {
                "step": s,
                "epoch": float(s),
                "split": split,
                "weights": weights,
                "loss": 0.3,
                "accuracy": accuracy,
            }
            for s, split, weights, accuracy in (
                (2, "validation", "raw", 0.93),
                (2, "test", "raw", 0.92),
                (3, "validation", "raw", 0.91),
                (3, "validation", "ema", 0.92),
                (3, "test", "raw", 0.9012),
            )
        ]
        summary = run_summary(
            outcome=Outcome.COMPLETED,
            metrics=table_of(metrics, STEP_COLUMNS),
            evaluations=table_of(evaluations, EVALUATION_COLUMNS),
            output_dir="runs/a",
            device="1 x CPU",
        )
        expected = """\
            outcome                   training completed
            trained                   3 steps, 3 passes over the training set
            training, last step       accuracy 90.00 %, cross-entropy 0.1, objective 0.1667
            validation                accuracy 91.00 %, objective 0.3
            validation (ema weights)  accuracy 92.00 %, objective 0.3
            test                      accuracy 90.12 %, objective 0.3
            best by validation        step 2: accuracy 93.00 %, objective 0.3; test accuracy 92.00 %, objective 0.3
            wall time                 1h02m
            speed                     61.2k samples/s
            device                    1 x CPU
            output                    runs/a"""
        self.assertEqual(summary_table(summary), textwrap.dedent(expected))

    def test_searches_that_went_otherwise(self):
        for search, said in (
            ({"fallbacks": 0, "skipped_pairs": 0}, None),
            ({"fallbacks": 1}, "1 step along the negative gradient instead of the direction"),
            (
                {"fallbacks": 2, "skipped_pairs": 3},
                "2 steps along the negative gradient instead of the direction, "
                "3 pairs of too little curvature left out",
            ),
        ):
            summary = run_summary(
                outcome=Outcome.COMPLETED,
                metrics=table_of([], STEP_COLUMNS),
                evaluations=table_of([], EVALUATION_COLUMNS),
                output_dir="runs/a",
                device="CPU",
                search=search,
            )
            self.assertEqual(summary["search"], search)
            lines = dict(line.split("  ", 1) for line in summary_table(summary).splitlines())
            self.assertEqual(lines.get("searches", "").strip() or None, said)

    def test_run_that_ended_before_its_first_step(self):
        summary = run_summary(
            outcome=Outcome.NON_FINITE,
            metrics=table_of([], STEP_COLUMNS),
            evaluations=table_of([], EVALUATION_COLUMNS),
            output_dir="runs/a",
            device="CPU",
            message="loss is nan",
        )
        self.assertEqual(
            summary_table(summary).splitlines(),
            [
                "outcome    stopped before the update",
                "trained    0 steps, 0 passes over the training set",
                "wall time  0ms",
                "device     CPU",
                "output     runs/a",
            ],
        )


if __name__ == "__main__":
    unittest.main()
