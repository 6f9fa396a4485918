"""How long runs take: by records whose seconds are known, and by a calibration with a faked run."""

import dataclasses
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from tests.studies.studies import study, write_finished
from tf_fullbatch.config.run import settings_fields
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.run_log import note_duration, seconds_in_log
from tf_fullbatch.records.tables import TableWriter
from tf_fullbatch.run import processes
from tf_fullbatch.studies import timing
from tf_fullbatch.studies.planned_runs import Run, runs_of
from tf_fullbatch.studies.timing import (
    SAME_PACE,
    Pace,
    calibrated,
    kind_of,
    pace_of,
    paces_of_finished,
    seconds_left,
    side_by_side,
)

FAKE = (sys.executable, str(Path(__file__).with_name("fake_run.py")))


def write_steps(folder: RunFolder, epochs: int, every: int) -> float:
    """Tables of a run of 0.5 s per pass and 0.2 s per evaluation, whose first ones take 3 s and 1 s more.

    Its last wall seconds.
    """
    folder.create()
    wall = 3.0
    with (
        TableWriter(folder.metrics, STEP_COLUMNS) as metrics,
        TableWriter(folder.evaluations, EVALUATION_COLUMNS) as table,
    ):
        for step in range(1, epochs + 1):
            wall += 0.5
            row = {"step": step, "epoch": float(step), "samples_seen": step, "wall_seconds": wall}
            metrics.append(row | {"gradient_evaluations": 4.0})
            if step % every == 0 or step == epochs:
                for split, samples in (("validation", 100), ("test", 300)):
                    compiling = 1.0 if step == every and split == "validation" else 0.0
                    seconds = samples * 0.0005 + compiling
                    table.append(
                        {
                            "step": step,
                            "epoch": float(step),
                            "split": split,
                            "weights": "raw",
                            "samples": samples,
                            "seconds": seconds,
                        }
                    )
                    wall += seconds
    return wall


class PaceTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_from_records(self):
        folder = RunFolder(self.folder / "run")
        wall = write_steps(folder, 20, 5)
        pace = pace_of(folder, wall + 7.0)
        assert pace is not None
        self.assertAlmostEqual(0.5, pace.per_pass)
        self.assertAlmostEqual(0.2, pace.per_evaluation)
        self.assertAlmostEqual(7.0 + 3.0 + 1.0, pace.beside)  # and what the first evaluation took more
        (arm,) = study("a", epochs=200, evaluate_every=30).arms
        self.assertAlmostEqual(11.0 + 200 * 0.5 + 7 * 0.2, pace.seconds(arm.config))
        ends = arm.config.replacing(stop_after_evaluations=250.0)
        self.assertAlmostEqual(
            11.0 + 63 * 0.5 + 3 * 0.2, pace.seconds(ends)
        )  # 4 evaluations of a sample per pass

    def test_of_one_evaluation(self):
        folder = RunFolder(self.folder / "run")
        wall = write_steps(folder, 20, 20)
        pace = pace_of(folder, wall + 7.0)
        assert pace is not None
        self.assertAlmostEqual(0.2, pace.per_evaluation)
        self.assertAlmostEqual(7.0 + 3.0 + 1.0, pace.beside)

    def test_one_evaluation_of_one_split_compiles_and_tells_nothing(self):
        folder = RunFolder(self.folder / "run")
        write_steps(folder, 20, 20)
        *rows, _test = folder.evaluations.read_text().splitlines(keepends=True)
        folder.evaluations.write_text("".join(rows))
        pace = pace_of(folder, 30.0)
        assert pace is not None
        self.assertEqual(0.0, pace.per_evaluation)

    def test_too_few_steps(self):
        folder = RunFolder(self.folder / "run")
        self.assertIsNone(pace_of(folder, 1.0))
        write_steps(folder, 1, 1)
        self.assertIsNone(pace_of(folder, 1.0))

    def test_kinds(self):
        settings = {field.name for _, field in settings_fields()}
        self.assertLessEqual(set(SAME_PACE), settings)
        one, other = runs_of(study("a", "b", seeds=(0,)), self.folder)  # other learning rates
        self.assertEqual(kind_of(one), kind_of(other))
        (wider,) = runs_of(study("a", seeds=(0,), model="mlp"), self.folder)
        self.assertNotEqual(kind_of(one), kind_of(wider))

    def test_of_finished_runs_and_what_is_left(self):
        finished, other = runs_of(study("a", seeds=(0, 1)), self.folder)
        write_finished(finished)
        self.assertEqual({}, paces_of_finished([finished, other]))  # nothing says how long it took
        write_steps(finished.folder, 4, 1)
        note_duration(finished.log, 5, 10.0)
        note_duration(finished.log, 0, 20.0)  # interrupted, and gone on with
        paces = paces_of_finished([finished, other])
        pace = paces[kind_of(other)]
        self.assertAlmostEqual(30.0, pace.seconds(finished.config))
        self.assertEqual(0.0, seconds_left(finished, paces))
        self.assertAlmostEqual(30.0, seconds_left(other, paces) or 0)
        with mock.patch.object(Run, "fraction", return_value=0.75):
            self.assertAlmostEqual(7.5, seconds_left(other, paces) or 0)
        self.assertIsNone(seconds_left(other, {}))

    def test_side_by_side(self):
        self.assertEqual(6.0, side_by_side([1.0, 2.0, 3.0], 1))
        self.assertEqual(4.0, side_by_side([1.0, 2.0, 3.0], 2))
        self.assertEqual(0.0, side_by_side([], 2))


class LogTest(unittest.TestCase):
    def test_a_line_of_the_study_is_no_error_of_the_run(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder = RunFolder(Path(scratch) / "run")
            folder.log.write_text("Traceback (most recent call last):\nValueError: of the run\n")
            self.assertIsNone(seconds_in_log(folder.log))
            note_duration(folder.log, 1, 2.25)
            self.assertEqual(
                (2.2, "ValueError: of the run"), (seconds_in_log(folder.log), folder.last_error())
            )


class CalibrationTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.object(processes, "RUN", FAKE))
        self.enterContext(mock.patch.object(timing, "CALIBRATION_SECONDS", 0.1))

    def test_each_kind_once_in_a_folder_that_is_thrown_away(self):
        made: list[Path] = []

        def pace(folder: RunFolder, seconds: float) -> Pace:
            made.append(folder.path)
            return Pace(beside=seconds, per_pass=1.0, per_evaluation=0.0)

        runs = runs_of(study("a", "b"), self.folder)
        runs += [
            run for run in runs_of(study("x", "y", "z", model="mlp"), self.folder) if run.arm.name == "z"
        ]  # waits
        runs = [dataclasses.replace(run, config=run.config.replacing(loggers=("mlflow",))) for run in runs]
        arguments = mock.patch.object(timing.cli_flags, "arguments", wraps=timing.cli_flags.arguments)
        with mock.patch.object(timing, "pace_of", pace), arguments as asked:
            found = calibrated(runs, jobs=2)
        self.assertEqual([()] * 2, [call.args[0].runtime.loggers for call in asked.call_args_list])
        self.assertEqual({kind_of(run) for run in runs}, set(found))
        self.assertEqual(2, len(made))
        self.assertFalse(any(path.exists() for path in made))
        self.assertEqual([], list(self.folder.iterdir()))

    def test_one_that_fails(self):
        runs = [run for run in runs_of(study("a", "b", seeds=(0,)), self.folder) if run.arm.name == "b"]
        with self.assertRaisesRegex(UserError, "b, seed 0: the loss is nan in step 2"):
            calibrated(runs, jobs=1)


if __name__ == "__main__":
    unittest.main()
