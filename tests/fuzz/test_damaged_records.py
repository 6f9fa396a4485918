"""Damaged config.json, summary.json and tables: what they say, or one line, and the folder as it was."""

import json
import tempfile
import unittest
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.damage import damaged_bytes, damaged_json
from tests.rows import table_of
from tf_fullbatch.config.run import Config
from tf_fullbatch.display.text import summary_table
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records.checkpoints import load_checkpoint, save_checkpoint
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS, Column
from tf_fullbatch.records.files import read_json, write_json
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.summary import run_summary
from tf_fullbatch.records.tables import TableWriter, read_table
from tf_fullbatch.run.output_dir import check_folder, finished_summary

repeatable = settings(max_examples=300, deadline=None, derandomize=True, database=None)

STEPS = [{c.name: c.kind(step + 1) for c in STEP_COLUMNS} for step in range(4)]
EVALUATIONS = [
    {c.name: "test" if c.kind is str else c.kind(step + 1) for c in EVALUATION_COLUMNS} for step in range(4)
]
CONFIG = Config().replacing(
    epochs=4, schedule="steps", decay_epochs=(1.0, 2.5), clip_norm=0.25, data_dir="/a"
)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class DamagedRecordsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = RunFolder(self.enterContext(tempfile.TemporaryDirectory()))
        self.ends: Counter[str] = Counter()
        write_json(self.folder.config, CONFIG.to_dict())
        for path, columns, rows in self.tables():
            with TableWriter(path, columns) as recorder:
                for row in rows:
                    recorder.append(row)
        summary = run_summary(
            outcome=Outcome.COMPLETED,
            metrics=table_of(STEPS, STEP_COLUMNS),
            evaluations=table_of(EVALUATIONS, EVALUATION_COLUMNS),
            output_dir="a",
            device="CPU",
        )
        write_json(self.folder.summary, summary)
        for path in (self.folder.model, self.folder.curves):
            path.touch()

    def tables(self) -> tuple[tuple[Path, tuple[Column, ...], list[dict[str, Any]]], ...]:
        return (self.folder.metrics, STEP_COLUMNS, STEPS), (
            self.folder.evaluations,
            EVALUATION_COLUMNS,
            EVALUATIONS,
        )

    def outcome(self, read: Callable[[], Any]) -> Any:
        """What a reader returns; None where it refuses, in one line. The folder stays as it was in both cases."""
        before = snapshot(self.folder.path)
        result = None
        try:
            result = read()
            self.ends["read"] += 1
        except UserError as error:
            self.ends["refused"] += 1
            self.assertTrue(str(error).isprintable())
            self.assertTrue(str(error))
        self.assertEqual(before, snapshot(self.folder.path))
        return result

    def assert_mixed(self, least: int = 10) -> None:
        """Both kinds of ends were met."""
        self.assertGreater(min(self.ends["read"], self.ends["refused"]), least, self.ends)

    def test_config(self):
        original = self.folder.config.read_bytes()

        @repeatable
        @given(damaged_json(original))
        def check(content: bytes) -> None:
            self.folder.config.write_bytes(content)
            config = self.outcome(lambda: self.folder.read_config())
            if config is not None:
                self.assertEqual(config, Config.from_dict(json.loads(json.dumps(config.to_dict()))))
            self.outcome(lambda: check_folder(self.folder, CONFIG))

        check()
        self.assert_mixed()

    def test_json(self):
        original = self.folder.config.read_bytes()

        @repeatable
        @given(damaged_bytes(original))
        def check(content: bytes) -> None:
            self.folder.config.write_bytes(content)
            self.outcome(lambda: read_json(self.folder.config))

        check()
        self.assert_mixed()

    def test_tables(self):
        for path, columns, _ in self.tables():
            original = path.read_bytes()
            with self.subTest(path.name):
                self.check_table(path, columns, original)

    def check_table(self, path: Path, columns: tuple[Column, ...], original: bytes) -> None:
        @repeatable
        @given(damaged_bytes(original), st.integers(0, 5))
        def check(content: bytes, step: int) -> None:
            path.write_bytes(content)
            rows = self.outcome(lambda: read_table(path, columns))
            if rows is None:
                # A table that cannot be read is not overwritten either.
                self.outcome(lambda: TableWriter(path, columns, resume_step=step))
                return
            with TableWriter(path, columns, resume_step=step):
                pass
            kept = rows[rows["step"] <= step].reset_index(drop=True)
            pd.testing.assert_frame_equal(read_table(path, columns), kept)  # nan is nan

        check()
        self.assert_mixed()

    def test_summary(self):
        original = self.folder.summary.read_bytes()
        path = save_checkpoint(self.folder.checkpoints, step=4, epoch=4, arrays={}, metadata={})
        checkpoint = load_checkpoint(path)

        @repeatable
        @given(damaged_json(original))
        def check(content: bytes) -> None:
            self.folder.summary.write_bytes(content)
            summary = self.outcome(lambda: finished_summary(self.folder, CONFIG, checkpoint))
            if summary is None:
                self.ends["written anew"] += 1
            else:
                self.assertEqual(4, summary["steps"])
                self.assertIn("outcome", summary_table(summary))

        check()
        self.assertEqual(0, self.ends["refused"])
        self.assertGreater(self.ends["written anew"], 30)
        self.assertGreater(self.ends["read"] - self.ends["written anew"], 30)


if __name__ == "__main__":
    unittest.main()
