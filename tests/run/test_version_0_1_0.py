"""A run folder that version 0.1.0 wrote: read, refused by name where it would go on otherwise, and gone on with.

`tests/data_files/version_0_1_0` was written by that version (its summary.json has the commit), at epoch 2 of 4;
`version_0_1_0_after_4_epochs.npz` is its checkpoint of the same run at its end.
"""

import shutil
import unittest
from pathlib import Path

import numpy as np

from tests.command import CommandTestCase, Ended, command, contents, steps_of
from tf_fullbatch.records.checkpoints import load_latest
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.report.run_reading import read_run
from tf_fullbatch.report.run_records import Status

DATA = Path(__file__).parents[1] / "data_files"


class Version010Test(CommandTestCase):
    draws_curves = False

    def setUp(self) -> None:
        super().setUp()
        self.run = self.folder / "run"
        shutil.copytree(DATA / "version_0_1_0", self.run)

    def go_on(self, *arguments: str) -> Ended:
        return command(
            "--model=linear", "--train_size=200", "--validation_size=50", "--batch_size=100", "--micro_batch_size=64",
            "--epochs=4", "--schedule_epochs=4", "--clip_norm=0.1", "--deterministic", f"--output_dir={self.run}",
            *arguments,
        )  # fmt: skip

    def test_a_report_reads_it(self) -> None:
        run = read_run(RunFolder(self.run))
        self.assertEqual(run.status, Status.COMPLETED)
        self.assertEqual(len(run.metrics), 4)
        self.assertFalse(run.config.step.fused_batch_norm)

    def test_it_is_not_gone_on_with_by_another_kernel(self) -> None:
        before = contents(self.run)
        ended = self.go_on()
        self.assertEqual(ended.code, 2)
        self.assertIn("fused_batch_norm", ended.err)
        self.assertEqual(contents(self.run), before)

    def test_it_ends_as_it_would_have_ended(self) -> None:
        self.assert_done(self.go_on("--nofused_batch_norm"))
        ended = load_latest(self.run / "checkpoints")[0]
        with np.load(DATA / "version_0_1_0_after_4_epochs.npz") as expected:
            np.testing.assert_equal(list(ended.arrays.values()), list(expected.values()))
        steps = steps_of(self.run)
        self.assertEqual([row.get("gradient_evaluations") for row in steps], [None] * 4 + [1.0] * 4)
        norms = [row.get("unpenalised_gradient_norm") for row in steps]
        self.assertEqual(norms, [None] * 4 + [row["gradient_norm"] for row in steps[4:]])


if __name__ == "__main__":
    unittest.main()
