"""What the tests of the command share: it is run in this process, with its output caught."""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.rows import read_rows
from tf_fullbatch.commands.train import main
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, MEASUREMENT_COLUMNS, STEP_COLUMNS

TINY = ("--train_size=200", "--model=resnet_tiny", "--micro_batch_size=64")
"""A run of 0.2 s per pass once it is compiled, with a ragged last micro-batch of 8."""

_TIMES = ("images_per_second", "step_seconds", "wall_seconds", "seconds")


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def command(*arguments: str) -> Ended:
    """Runs `python -m tf_fullbatch.main` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["main", *arguments])
    return Ended(code, out.getvalue(), err.getvalue())


def tiny(output_dir: Path, *arguments: str) -> Ended:
    """Runs the command on the tiny setting; later arguments win."""
    return command(*TINY, f"--output_dir={output_dir}", *arguments)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def steps_of(folder: Path) -> list[dict]:
    """metrics.csv without what a clock decides."""
    return [without_times(row) for row in read_rows(folder / "metrics.csv", STEP_COLUMNS)]


def evaluations_of(folder: Path) -> list[dict]:
    """evaluations.csv without what a clock decides."""
    return [without_times(row) for row in read_rows(folder / "evaluations.csv", EVALUATION_COLUMNS)]


def measurements_of(folder: Path) -> list[dict]:
    """measurements.csv without what a clock decides; values as text, since nan does not equal itself."""
    rows = read_rows(folder / "measurements.csv", MEASUREMENT_COLUMNS)
    return [row | {"value": repr(row["value"])} for row in rows if row["quantity"] != "seconds"]


def without_times(row: dict) -> dict:
    """A row of a table without what a clock decides."""
    return {name: value for name, value in row.items() if name not in _TIMES}


def summary_of(folder: Path) -> dict:
    """summary.json."""
    return json.loads((folder / "summary.json").read_text())


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value) of TensorBoard's own reading of the event files in a folder."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return {
        tag: [
            (e.step, float(e.tensor_proto.float_val[0]))
            for e in events.Tensors(tag)
            if e.tensor_proto.float_val
        ]
        for tag in events.Tags()["tensors"]
    }


class CommandTestCase(unittest.TestCase):
    """Has a folder for a class' runs, and one for each test."""

    shared: Path
    draws_curves = True
    """False for tests that do not look at curves.png, which takes half of a tiny run's time."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.shared = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        if not self.draws_curves:
            self.enterContext(mock.patch("tf_fullbatch.run.conclusion.plot_curves"))

    def assert_done(self, ended: Ended) -> Ended:
        self.assertEqual(0, ended.code, ended.err)
        self.assertNotIn("error", ended.err)
        return ended

    def assert_refused(self, ended: Ended, *parts: str, code: int = 2) -> None:
        """One line on standard error that begins with "error: " and has the parts; no output."""
        self.assertEqual((code, ""), (ended.code, ended.out), ended.err)
        self.assertEqual(1, ended.err.count("\n"), ended.err)
        self.assertTrue(ended.err.startswith("error: "), ended.err)
        self.assertTrue(ended.err.endswith("\n"), ended.err)
        for part in parts:
            self.assertIn(part, ended.err)
