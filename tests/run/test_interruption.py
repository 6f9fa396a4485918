"""Signals: what the first and the second one do, also while the main thread is in C++."""

import os
import signal
import subprocess
import sys
import unittest

from tf_fullbatch.errors import RunInterruptedError
from tf_fullbatch.run.interruption import SIGNALS, StopRequests

# Says "ready", is deaf in C for a long time as TensorFlow's kernels are, and says what it heard.
BUSY = """
import ctypes, sys
from tf_fullbatch.run.interruption import StopRequests
libc = ctypes.CDLL(None)
announced = []
def announce(text):  # from the listening thread
    print(text, flush=True)
    announced.append(text)
with StopRequests() as stops:
    stops.working(announce)
    print("ready", flush=True)
    left = 3_000_000  # microseconds; usleep ends early at a signal, which C++ kernels do not
    while left > 0 and not (len(sys.argv) > 1 and announced):
        left -= 50_000
        libc.usleep(50_000)
    print("heard", stops.requested, flush=True)
"""


class StopRequestsTest(unittest.TestCase):
    def test_before_work_the_first_signal_interrupts_where_it_arrives(self):
        for number in SIGNALS:
            with (
                self.subTest(number=number),
                self.assertRaisesRegex(
                    RunInterruptedError, f"interrupted by {number.name}: no step was under"
                ),
                StopRequests(),
            ):
                signal.raise_signal(number)

    def test_no_except_of_others_takes_it_for_an_error_of_its_own(self):
        with self.assertRaisesRegex(RunInterruptedError, "by SIGINT"), StopRequests():
            try:
                signal.raise_signal(signal.SIGINT)
            except Exception as error:
                self.fail(f"{error!r} is an Exception")

    def test_at_work_the_first_signal_is_a_request(self):
        said = []
        with StopRequests() as stops:
            stops.working(said.append)
            self.assertIsNone(stops.requested)
            os.kill(os.getpid(), signal.SIGTERM)
            stops._thread.join(0.2)
            self.assertEqual("SIGTERM", stops.requested)
        self.assertEqual(["SIGTERM: stopping after the call under way; once more stops at once"], said)

    def test_afterwards_everything_is_as_before(self):
        before = [signal.getsignal(number) for number in SIGNALS]
        with StopRequests() as stops:
            self.assertNotEqual(before, [signal.getsignal(number) for number in SIGNALS])
        self.assertEqual(before, [signal.getsignal(number) for number in SIGNALS])
        self.assertFalse(stops._thread.is_alive())
        self.assertEqual(-1, signal.set_wakeup_fd(-1))

    def busy(self, *arguments: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", BUSY, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.assertEqual("ready\n", process.stdout.readline())
        return process

    def test_one_signal_in_a_process_of_its_own(self):
        process = self.busy("until announced")
        process.send_signal(signal.SIGINT)
        self.assertIn("SIGINT: stopping", process.stdout.readline())
        self.assertEqual("heard SIGINT\n", process.stdout.readline())
        self.assertEqual(0, process.wait())

    def test_the_second_signal_ends_at_once(self):
        process = self.busy()
        process.send_signal(signal.SIGTERM)
        self.assertIn("SIGTERM: stopping", process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(5, process.wait(timeout=2))
        self.assertEqual("", process.stdout.read())
        self.assertIn("stopped at once", process.stderr.read())


if __name__ == "__main__":
    unittest.main()
