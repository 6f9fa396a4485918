"""Flows on the command line: a run in two parts, what a plan says, and refusals before anything is written."""

import unittest

import numpy as np

from tests.command import CommandTestCase, command, contents, steps_of
from tests.rows import read_rows
from tf_fullbatch.records.checkpoints import load_latest
from tf_fullbatch.records.columns import MEASUREMENT_COLUMNS

TANH = (
    "--train_size=20", "--micro_batch_size=20", "--model=mlp", "--width=2", "--activation=tanh",
    "--loss=squared_error", "--quiet", "--noevaluate_test",
)  # fmt: skip
FLOW = ("--optimizer=central_flow", "--schedule=constant", "--learning_rate=0.2")


class RunTest(CommandTestCase):
    draws_curves = False

    def test_a_run_in_two_parts_is_the_run_in_one(self) -> None:
        whole, parts = self.folder / "whole", self.folder / "parts"
        for folder, epochs in ((whole, 3), (parts, 1), (parts, 3)):
            arguments = (*TANH, *FLOW, f"--epochs={epochs}", f"--output_dir={folder}")
            self.assert_done(command(*arguments, "--schedule_epochs=3"))
        self.assertEqual(steps_of(whole), steps_of(parts))
        one, other = (load_latest(folder / "checkpoints")[0] for folder in (whole, parts))
        np.testing.assert_equal(one.arrays, other.arrays)
        (position,) = [a for name, a in one.arrays.items() if name.endswith("central_flow/position")]
        self.assertEqual((position.dtype, position.shape), (np.float64, (160,)))
        spent = [row["gradient_evaluations"] for row in steps_of(whole)]
        self.assertGreater(min(spent), 10)

    def test_measured_beside_gradient_descent(self) -> None:
        plain = ("--momentum=0", "--weight_decay=0", "--schedule=constant", "--schedule_epochs=3")
        measured = ("--measure=central_flow,gradient_flow", "--measure_every=2")
        whole, parts = self.folder / "whole", self.folder / "parts"
        for folder, epochs in ((whole, 3), (parts, 2), (parts, 3)):
            arguments = (*TANH, *plain, *measured, f"--epochs={epochs}", f"--output_dir={folder}")
            self.assert_done(command(*arguments))
        rows = [
            [r for r in read_rows(f / "measurements.csv", MEASUREMENT_COLUMNS) if r["quantity"] != "seconds"]
            for f in (whole, parts)
        ]
        self.assertEqual(*rows)
        self.assertEqual({0, 2, 3}, {row["step"] for row in rows[0]})
        distances = [r["value"] for r in rows[0] if r["quantity"] == "distance"]
        self.assertEqual(distances[:2], [0, 0])
        self.assertGreater(min(distances[2:]), 0)


class PlanTest(CommandTestCase):
    def test_the_cost_is_not_known(self) -> None:
        arguments = [a for a in TANH if a != "--quiet"]
        ended = self.assert_done(command(*arguments, *FLOW, "--epochs=3", "--dry_run"))
        self.assertRegex(ended.out, r"cost +not known beforehand")
        self.assertRegex(ended.out, r"steps +3 in 3 passes of 1; 1 micro-batches of 20 per step")
        self.assertNotIn("s per micro-batch", ended.out)


class RefusedTest(CommandTestCase):
    def test_before_anything_is_written(self) -> None:
        output = f"--output_dir={self.folder / 'run'}"
        cases = {
            "--optimizer=gradient_flow: the flow is of the whole set's loss alone and at one rate, but there is a "
            "learning rate that changes (set --schedule=constant": ("--optimizer=gradient_flow",),
            "--optimizer=central_flow: the flow is of the whole set's loss alone and at one rate, but there is "
            "--clip_norm=0.25: leave that out.": (*FLOW, "--clip_norm=0.25"),
            "--momentum=0.5 has no effect with --optimizer=central_flow": (*FLOW, "--momentum=0.5"),
            "uses Relu": (*FLOW, "--activation=relu"),
            "--measure=central_flow: the flow is of the whole set's loss alone and at one rate, but there is "
            "--momentum=0.9, --weight_decay=0.0005": ("--schedule=constant", "--measure=central_flow"),
        }
        for words, arguments in cases.items():
            self.assert_refused(command(*TANH, *arguments, "--epochs=3", output), words)
            self.assertEqual(contents(self.folder), {})


if __name__ == "__main__":
    unittest.main()
