"""Records: columns, exact round trips, resumes, damaged files, and files that are replaced whole."""

import json
import math
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rows import read_rows
from tf_fullbatch.errors import UserError
from tf_fullbatch.records import files
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.tables import TableWriter, last_row, read_table


class RecordsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "metrics.csv"

    def write_steps(self, *steps: int, resume_step: int = 0) -> None:
        with TableWriter(self.path, STEP_COLUMNS, resume_step) as recorder:
            for step in steps:
                recorder.append({"step": step, "loss": 1 / step})

    def steps(self) -> list[object]:
        return [row["step"] for row in read_rows(self.path, STEP_COLUMNS)]

    def assert_one_line(self, error: BaseException, *parts: str) -> None:
        self.assertNotIn("\n", str(error))
        for part in parts:
            self.assertIn(part, str(error))


class ColumnsTest(unittest.TestCase):
    def test_names_are_the_keys_the_rest_of_the_program_uses(self):
        self.assertEqual(
            [column.name for column in STEP_COLUMNS],
            [
                "step", "epoch", "samples_seen", "loss", "cross_entropy", "accuracy", "penalised_objective", "penalty",
                "gradient_norm", "clipped", "mean_squared_micro_batch_gradient_norm", "unpenalised_gradient_norm",
                "noise_scale", "learning_rate", "gradient_evaluations", "parameter_norm", "update_norm",
                "images_per_second", "step_seconds", "wall_seconds",
            ],
        )  # fmt: skip
        self.assertEqual(
            [column.name for column in EVALUATION_COLUMNS],
            ["step", "epoch", "split", "weights", "loss", "cross_entropy", "accuracy", "samples", "seconds"],
        )

    def test_every_column_is_described_in_a_sentence(self):
        for column in STEP_COLUMNS + EVALUATION_COLUMNS:
            self.assertRegex(column.description, r"^[A-Z0-9].*\.$")


class CsvTest(RecordsTest):
    def test_values_come_back_exactly_with_their_types(self):
        record = {
            "step": 3,
            "epoch": 0.1 + 0.2,
            "loss": np.float32(0.1),
            "clipped": 0.0,
            "samples_seen": 2**60,
        }
        with TableWriter(self.path, STEP_COLUMNS) as recorder:
            recorder.append(record)
        [row] = read_rows(self.path, STEP_COLUMNS)
        self.assertEqual(row, {**record, "loss": float(np.float32(0.1))})
        self.assertEqual((row["epoch"], row["samples_seen"]), (0.30000000000000004, 2**60))
        self.assertIs(type(row["clipped"]), int)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.floats(), max_size=5))
    def test_any_float_comes_back_bit_for_bit(self, values):
        path = self.folder / "floats.csv"
        path.unlink(missing_ok=True)
        with TableWriter(path, STEP_COLUMNS) as recorder:
            for number, value in enumerate(values, start=1):
                recorder.append({"step": number, "loss": value})
        read = list(read_table(path, STEP_COLUMNS)["loss"])
        self.assertEqual(list(map(repr, read)), list(map(repr, values)))

    def test_none_and_missing_values_are_blank_and_absent(self):
        with TableWriter(self.path, STEP_COLUMNS) as recorder:
            recorder.append({"step": 1, "loss": None})
        self.assertEqual(self.path.read_text().splitlines()[1], "1" + "," * (len(STEP_COLUMNS) - 1))
        self.assertEqual(read_rows(self.path, STEP_COLUMNS), [{"step": 1}])

    def test_text_columns(self):
        row = {
            "step": 1,
            "epoch": 1.0,
            "split": "validation",
            "weights": "ema",
            "accuracy": 0.5,
            "samples": 10,
        }
        with TableWriter(self.path, EVALUATION_COLUMNS) as recorder:
            recorder.append(row)
            with self.assertRaisesRegex(ValueError, "commas"):
                recorder.append({**row, "split": "a,b"})
        self.assertEqual(read_rows(self.path, EVALUATION_COLUMNS), [row])

    def test_every_row_is_in_the_file_before_close(self):
        recorder = TableWriter(self.path, STEP_COLUMNS)
        recorder.append({"step": 1})
        self.assertEqual(self.steps(), [1])
        recorder.close()
        recorder.close()

    def test_unknown_key_is_refused(self):
        with (
            TableWriter(self.path, STEP_COLUMNS) as recorder,
            self.assertRaisesRegex(ValueError, "los; it has step"),
        ):
            recorder.append({"step": 1, "los": 2.0})

    def test_resume_drops_later_rows_and_goes_on(self):
        self.write_steps(1, 2, 3, 4, 5)
        self.write_steps(4, 5, 6, resume_step=3)
        self.assertEqual(self.steps(), [1, 2, 3, 4, 5, 6])

    def test_resume_keeps_kept_rows_byte_for_byte(self):
        self.write_steps(1, 2, 3)
        before = self.path.read_bytes()
        self.write_steps(resume_step=3)
        self.assertEqual(self.path.read_bytes(), before)

    def test_resume_from_nothing_starts_anew(self):
        self.write_steps(1, 2)
        self.write_steps(1, resume_step=0)
        self.assertEqual(self.steps(), [1])

    def test_line_cut_anywhere_is_dropped(self):
        self.write_steps(1, 2, 3)
        whole = self.path.read_bytes()
        before_last = whole[: whole.rstrip(b"\n").rfind(b"\n") + 1]
        for end in range(len(before_last), len(whole)):
            self.path.write_bytes(whole[:end])
            self.assertEqual(self.steps(), [1, 2])
        self.write_steps(3, resume_step=2)
        self.assertEqual(self.path.read_bytes(), whole)

    def test_file_cut_in_its_header_starts_anew(self):
        self.path.write_text("step,epo")
        self.write_steps(1)
        self.assertEqual(self.steps(), [1])

    def test_a_table_of_version_0_1_0_is_read_and_gone_on_with(self):
        self.write_steps(1, 2, 3)
        lines = [line.split(",") for line in self.path.read_text().splitlines()]
        place = lines[0].index("gradient_evaluations")
        self.path.write_text("".join(",".join(c[:place] + c[place + 1 :]) + "\n" for c in lines))
        table = read_table(self.path, STEP_COLUMNS)
        self.assertEqual(list(table.columns), [column.name for column in STEP_COLUMNS])
        self.assertTrue(table["gradient_evaluations"].isna().all())
        self.assertEqual(len(read_table(self.path, STEP_COLUMNS, ("step", "gradient_evaluations"))), 3)
        with TableWriter(self.path, STEP_COLUMNS, resume_step=2) as recorder:
            recorder.append({"step": 3, "loss": 0.5, "gradient_evaluations": 2.0})
        self.assertEqual(self.path.read_text().splitlines()[:2], [",".join(c) for c in lines[:2]])
        rows = read_rows(self.path, STEP_COLUMNS)
        self.assertEqual([row.get("gradient_evaluations") for row in rows], [None, None, 2.0])
        self.assertEqual([row["loss"] for row in rows], [1.0, 0.5, 0.5])

    def test_many_records_are_written_at_once(self):
        with TableWriter(self.path, STEP_COLUMNS) as recorder:
            with mock.patch.object(recorder, "_file", wraps=recorder._file) as file:
                recorder.append_many([{"step": step, "loss": 1 / step} for step in range(1, 101)])
            self.assertEqual((1, 1), (file.write.call_count, file.flush.call_count))
            self.assertEqual(self.steps(), list(range(1, 101)))
        many = self.path.read_bytes()
        self.path.unlink()
        self.write_steps(*range(1, 101))
        self.assertEqual(self.path.read_bytes(), many)

    def test_the_last_row(self):
        self.assertEqual(last_row(self.path), {})
        self.write_steps()
        self.assertEqual(last_row(self.path), {})
        self.write_steps(*range(1, 1001))
        with self.path.open("a") as file:
            file.write("1001,2.")
        self.assertEqual((last_row(self.path)["step"], last_row(self.path)["loss"]), ("1000", "0.001"))

    def test_other_columns_are_refused_and_the_file_is_kept(self):
        self.write_steps(1)
        before = self.path.read_bytes()
        with self.assertRaises(UserError) as caught:
            TableWriter(self.path, EVALUATION_COLUMNS)
        self.assert_one_line(caught.exception, str(self.path), "split", "samples_seen")
        self.assertEqual(self.path.read_bytes(), before)

    def test_damaged_line_is_named(self):
        self.write_steps(1, 2, 3)
        lines = self.path.read_text().splitlines(keepends=True)
        for damage in ("x" + lines[2], lines[2][1:3] + "\n", "\n"):
            self.path.write_text("".join([*lines[:2], damage, lines[3]]))
            with self.assertRaises(UserError) as caught:
                read_table(self.path, STEP_COLUMNS)
            self.assert_one_line(caught.exception, str(self.path), "line 3")

    def test_missing_file_is_named(self):
        with self.assertRaises(UserError) as caught:
            read_table(self.path, STEP_COLUMNS)
        self.assert_one_line(caught.exception, str(self.path), "No such file")


class FilesTest(RecordsTest):
    def test_json_round_trip(self):
        content = {"a": 0.1, "b": [1, None, True], "c": {"d": "é"}, "e": np.float32(0.5), "f": np.int64(3)}
        files.write_json(self.path, content)
        self.assertEqual(files.read_json(self.path), {**content, "e": 0.5, "f": 3})

    def test_json_numbers_that_are_not_finite_are_strings(self):
        files.write_json(self.path, {"loss": math.nan, "norms": (math.inf, -math.inf, np.float64("nan"))})
        strict = json.loads(self.path.read_text(), parse_constant=self.fail)
        self.assertEqual(strict, {"loss": "nan", "norms": ["inf", "-inf", "nan"]})
        self.assertTrue(math.isnan(float(strict["loss"])))

    def test_failed_write_keeps_the_old_content_and_leaves_nothing_behind(self):
        files.write_text(self.path, "old")
        full = OSError(28, "No space left on device")
        for owner, name in ((os, "fsync"), (Path, "replace")):
            with mock.patch.object(owner, name, side_effect=full), self.assertRaises(UserError) as caught:
                files.write_text(self.path, "new")
            self.assert_one_line(caught.exception, str(self.path), "No space left on device")
            self.assertEqual(self.path.read_text(), "old")
            self.assertEqual(list(self.folder.iterdir()), [self.path])

    def test_full_disk_while_appending(self):
        recorder = TableWriter(self.path, STEP_COLUMNS)
        recorder._file.close()
        recorder._file = open("/dev/full", "a")  # noqa: PTH123, SIM115
        with self.assertRaises(UserError) as caught:
            recorder.append({"step": 1})
        self.assert_one_line(caught.exception, str(self.path), "No space left on device")

    def test_unwritable_places(self):
        blocked = self.folder / "file"
        blocked.write_text("")
        for attempt in (
            lambda: RunFolder(blocked / "run").create(),
            lambda: TableWriter(blocked / "metrics.csv", STEP_COLUMNS),
            lambda: files.write_json(self.folder / "missing" / "a.json", {}),
        ):
            with self.assertRaises(UserError) as caught:
                attempt()
            self.assert_one_line(caught.exception, "cannot write", "--output_dir")

    def test_reading_json_that_is_missing_or_cut(self):
        with self.assertRaises(UserError) as caught:
            files.read_json(self.path)
        self.assert_one_line(caught.exception, str(self.path), "No such file")
        self.path.write_text('{"a": 1')
        with self.assertRaises(UserError) as caught:
            files.read_json(self.path)
        self.assert_one_line(caught.exception, str(self.path), "not valid JSON")

    def test_run_folder_names(self):
        run = RunFolder(self.folder / "a" / "b").create()
        self.assertTrue(run.path.is_dir())
        names = {path.name for path in vars(run).values()} - {"b"}
        expected = (
            "config.json run.flags metrics.csv evaluations.csv measurements.csv summaries checkpoints model.keras "
            "summary.json curves.png measurements.png .lock"
        )
        self.assertEqual(names, set(expected.split()))


if __name__ == "__main__":
    unittest.main()
