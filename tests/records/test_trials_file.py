"""trials.csv: what is written is read."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

from tf_fullbatch.errors import UserError
from tf_fullbatch.records.trials_file import TrialRow, read_trials, write_trials


def row(arm: str, figure: float | None, chosen: bool = False, **settings: str) -> TrialRow:
    """A line."""
    return TrialRow(arm=arm, settings=settings, seed=7, choose_by="validation_accuracy", figure=figure,
                    status="completed", chosen=chosen, folder=f"trials/{arm}/x")  # fmt: skip


class TrialsFileTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_round_trip(self):
        write_trials(
            self.folder,
            [
                row("a", 0.1 + 0.2, True, learning_rate="0.1", model_options='x=1,y="2"'),
                row("b", None, clip_norm="none"),
            ],
        )
        table = read_trials(self.folder)
        self.assertEqual(
            ["arm", "learning_rate", "model_options", "clip_norm", "seed", "choose_by", "figure", "status", "chosen",
             "folder"],
            list(table.columns),
        )  # fmt: skip
        self.assertEqual([True, False], table["chosen"].tolist())
        np.testing.assert_array_equal([0.1 + 0.2, np.nan], table["figure"])
        np.testing.assert_array_equal([0.1, np.nan], table["learning_rate"])
        self.assertEqual(['x=1,y="2"', ""], table["model_options"].tolist())
        self.assertEqual(["", "none"], table["clip_norm"].tolist())
        self.assertEqual([7, 7], table["seed"].tolist())

    def test_none(self):
        self.assertEqual(0, len(read_trials(self.folder)))

    def test_damaged(self):
        (self.folder / "trials.csv").write_text("arm,seed\na,x\n")
        with self.assertRaisesRegex(UserError, "cannot read .*trials.csv"):
            read_trials(self.folder)


if __name__ == "__main__":
    unittest.main()
