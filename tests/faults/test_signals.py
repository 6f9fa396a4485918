"""SIGTERM and SIGINT to a run: it keeps what it has, and goes on from there."""

import signal
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tests.faults.processes import Process, finish, two_at_a_time
from tests.faults.runs import SHORT, SHORT_STEPS, FaultTestCase
from tests.faults.tally import faults
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.errors import RunInterruptedError
from tf_fullbatch.training.full_batch_model import FullBatchModel

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


class LatencyTest(parameterized.TestCase):
    """A stop is answered within a second, or a micro-batch where that takes longer."""

    @parameterized.parameters(True, False)
    def test_within_a_step(self, on_device: bool) -> None:
        width, micro_batches = 2048, 16
        network = keras.Sequential([keras.Input((width,)), *(keras.layers.Dense(width) for _ in range(4))])
        model = FullBatchModel(network, micro_batch_size=256)
        model.compile("sgd", "mse")
        x = np.ones((256 * micro_batches, width), "float32")
        data = UpdateBatches(x, x, on_device=on_device)
        model.fit(data, epochs=2, verbose=0)
        micro_batch_seconds = model.last_step["step_seconds"] / micro_batches
        asked = time.perf_counter() + 0.4 * model.last_step["step_seconds"]
        model.stop_requested = lambda: "SIGTERM" if time.perf_counter() >= asked else None
        with self.assertRaises(RunInterruptedError):
            model.fit(data, epochs=100, initial_epoch=2, verbose=0)
        # The micro-batch that was just begun counts as two: on a busy machine one takes longer than their mean.
        self.assertLess(time.perf_counter() - asked, max(1, 2 * micro_batch_seconds))
        self.assertEqual(model.steps_completed, 2)
