"""The timing loop: timed passes in turn, ratios within a round."""

import unittest

import tensorflow as tf

from tf_fullbatch.benchmark import timing
from tf_fullbatch.errors import DeviceMemoryError


class MeasureTest(unittest.TestCase):
    def setUp(self):
        self.calls = []

    def timed_pass(self, name, seconds):
        def run(passes):
            self.calls.append((name, passes))
            return passes * seconds

        return run

    def measure(self, **settings):
        timed_passes = {"ours": self.timed_pass("ours", 0.5), "theirs": self.timed_pass("theirs", 3.0)}
        return timing.seconds_of(timing.measure(timed_passes, 2, lambda text: None, **settings))

    def test_one_pass_in_turn_after_a_warm_up(self):
        self.assertEqual(self.measure(), {"ours": [0.5, 0.5], "theirs": [3.0, 3.0]})
        self.assertEqual(self.calls, [("ours", 1), ("theirs", 1)] * 3)

    def test_as_many_passes_as_take_the_time(self):
        self.assertEqual(self.measure(seconds=2.0), {"ours": [0.5, 0.5], "theirs": [3.0, 3.0]})
        warm_up = [("ours", 1), ("ours", 1), ("theirs", 1), ("theirs", 1)]
        self.assertEqual(self.calls, warm_up + [("ours", 4), ("theirs", 1)] * 2)

    def test_passes_are_bounded(self):
        self.measure(seconds=1e9)
        self.assertEqual(self.calls[-1], ("theirs", 100))

    def test_without_warm_up(self):
        self.measure(warm_up=False)
        self.assertEqual(self.calls, [("ours", 1), ("theirs", 1)] * 2)

    def test_ratios_are_those_of_a_round(self):
        self.assertEqual(timing.ratios([2.0, 9.0], [1.0, 3.0]), [2.0, 3.0])
        with self.assertRaises(ValueError):
            timing.ratios([1.0], [1.0, 2.0])

    def test_memory_that_ran_out_is_one_line(self):
        def run(passes):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM")

        with self.assertRaisesRegex(
            DeviceMemoryError, "ran out of memory with nested_tape: lower --micro_batch"
        ):
            timing.measure({"nested_tape": run}, 1, lambda text: None)


if __name__ == "__main__":
    unittest.main()
