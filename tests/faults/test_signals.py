"""SIGTERM and SIGINT to a run: it keeps what it has, and goes on from there."""

import signal
from pathlib import Path

import pytest

from tests.faults.processes import Process, finish, two_at_a_time
from tests.faults.runs import SHORT, SHORT_STEPS, FaultTestCase
from tests.faults.tally import faults

pytestmark = pytest.mark.faults

KEPT = r"interrupted by {}: step-\d{{8}} is kept\. The same command goes on from there\."
SECONDS = 30.0
"""From the signal to the end of the process."""


class SignalTest(FaultTestCase):
    def test_one_signal_keeps_the_last_step(self):
        whole = self.undisturbed(*SHORT)
        cases = [(number, row) for number in (signal.SIGTERM, signal.SIGINT) for row in (1, 47)]

        def interrupt(case: tuple[int, int]) -> Path:
            number, row = case
            folder = self.folder / f"{number}-{row}"
            with faults(f"{number.name} to a run"), Process(folder, *SHORT) as process:
                process.reach(row)
                process.send(number)
                self.assert_ended(process.end(SECONDS), 5, KEPT.format(number.name))
                self.assert_done(finish(folder, *SHORT))
            return folder

        for folder in two_at_a_time(interrupt, cases):
            with self.subTest(folder=folder.name):
                self.assert_same_run(whole, folder)

    def test_several_in_a_row(self):
        whole, folder = self.undisturbed(*SHORT), self.folder / "run"
        for row in range(25, SHORT_STEPS, 30):
            with faults("SIGTERM to a run"), Process(folder, *SHORT) as process:
                process.reach(row)
                process.send(signal.SIGTERM)
                self.assert_ended(process.end(SECONDS), 5, KEPT.format("SIGTERM"))
        self.assert_done(finish(folder, *SHORT))
        self.assert_same_run(whole, folder)

    def test_before_the_first_step(self):
        folder = self.folder / "run"
        with faults("SIGTERM before the first step"), Process(folder, *SHORT) as process:
            process.see((folder / ".lock").exists, "the lock")
            process.send(signal.SIGTERM)
            self.assert_ended(process.end(SECONDS), 5, "interrupted by SIGTERM: no step was")
        self.assertEqual([], list(folder.glob("checkpoints/*")))

    def test_a_second_signal_ends_it_at_once(self):
        whole = self.undisturbed(*SHORT)

        def interrupt(row: int) -> Path:
            folder = self.folder / str(row)
            with faults("two signals to a run"), Process(folder, *SHORT) as process:
                process.reach(row)
                process.send(signal.SIGTERM)
                process.send(signal.SIGINT)
                ended = process.end(5.0)
                self.assertEqual(5, ended.code, ended.err)
                self.assertRegex(ended.err, r"\Astopped at once; the last checkpoint is kept\.\n\Z")
                self.assert_done(finish(folder, *SHORT))
            return folder

        for folder in two_at_a_time(interrupt, (10, 60)):
            with self.subTest(folder=folder.name):
                self.assert_same_run(whole, folder)
