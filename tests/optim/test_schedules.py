"""Learning rates by epoch, without TensorFlow."""

import math
import subprocess
import sys
import unittest

from hypothesis import given
from hypothesis import strategies as st

from tf_fullbatch.optim.schedules import SCHEDULES, EpochRates, scale_learning_rate

# The published schedule's rates, printed to 6 digits: (lr, W, T) -> {epoch: rate}.
PUBLISHED = {
    (0.1, 5, 300): {0: 0, 1: 0.02, 5: 0.1, 7: 0.099997, 100: 0.077670, 299: 0.000134},
    (0.4, 400, 4000): {
        0: 0,
        1: 0.001,
        5: 0.005,
        7: 0.007,
        100: 0.1,
        299: 0.299,
        401: 0.4,
        1000: 0.378273,
        2000: 0.261953,
        2999: 0.109482,
    },
    (0.8, 400, 4000): {
        0: 0,
        1: 0.002,
        5: 0.01,
        7: 0.014,
        100: 0.2,
        299: 0.598,
        401: 0.8,
        1000: 0.756545,
        2000: 0.523906,
        2999: 0.218964,
    },
}


def rates(name: str, **changes) -> EpochRates:
    """A schedule of warmup 4 and horizon 20 at peak 0.5, but for the changes."""
    arguments = {"peak": 0.5, "warmup_epochs": 4, "horizon_epochs": 20}
    if name == "steps":
        arguments["decay_epochs"] = (8, 16)
    return EpochRates(name=name, **(arguments | changes))


class PublishedTest(unittest.TestCase):
    def test_table(self):
        for (peak, warmup, horizon), row in PUBLISHED.items():
            schedule = EpochRates(name="published", peak=peak, warmup_epochs=warmup, horizon_epochs=horizon)
            for t, rate in row.items():
                with self.subTest(peak=peak, t=t):
                    self.assertEqual(f"{schedule.rate_at_epoch(t):.6f}", f"{rate:.6f}")

    def test_warmup_is_exact_and_the_peak_comes_twice(self):
        schedule = rates("published")
        self.assertEqual([schedule.rate_at_epoch(t) for t in range(6)], [0, 0.125, 0.25, 0.375, 0.5, 0.5])

    def test_without_warmup_the_cosine_starts_at_once(self):
        schedule = rates("published", warmup_epochs=0)
        for t in range(21):
            expected = 0.25 * (1 + math.cos(math.pi * t / 20))
            self.assertAlmostEqual(schedule.rate_at_epoch(t), expected, delta=1e-15)

    def test_ends_at_zero_one_epoch_after_warmup_and_horizon(self):
        schedule = rates("published")
        self.assertGreater(schedule.rate_at_epoch(24), 0)
        for t in (25, 26, 45, 1000):
            self.assertEqual(schedule.rate_at_epoch(t), 0)


class WarmupFromTheFirstEpochTest(unittest.TestCase):
    def test_warmup(self):
        for name in ("cosine", "linear", "steps", "constant"):
            with self.subTest(name):
                schedule = rates(name)
                self.assertEqual(
                    [schedule.rate_at_epoch(t) for t in range(5)], [0.125, 0.25, 0.375, 0.5, 0.5]
                )

    def test_no_warmup_starts_at_the_peak(self):
        for name in SCHEDULES:
            self.assertEqual(rates(name, warmup_epochs=0).rate_at_epoch(0), 0.5)

    def test_fractional_warmup_does_not_overshoot(self):
        schedule = rates("linear", warmup_epochs=2.5, horizon_epochs=12.5)
        expected = (0.2, 0.4, 0.5, 0.5 * 0.95)
        for t, rate in enumerate(expected):
            self.assertAlmostEqual(schedule.rate_at_epoch(t), rate, delta=1e-15)

    def test_cosine(self):
        schedule = rates("cosine")
        for t in range(4, 21):
            expected = 0.25 * (1 + math.cos(math.pi * (t - 4) / 16))
            self.assertAlmostEqual(schedule.rate_at_epoch(t), expected, delta=1e-15)

    def test_linear(self):
        schedule = rates("linear")
        for t in range(4, 21):
            self.assertAlmostEqual(schedule.rate_at_epoch(t), 0.5 * (20 - t) / 16, delta=1e-15)

    def test_cosine_and_linear_stay_at_zero_from_the_horizon(self):
        for name in ("cosine", "linear"):
            self.assertGreater(rates(name).rate_at_epoch(19), 0)
            for t in (20, 21, 36, 1000):
                self.assertEqual(rates(name).rate_at_epoch(t), 0)

    def test_warmup_as_long_as_the_horizon(self):
        schedule = rates("cosine", warmup_epochs=20)
        self.assertEqual(schedule.rate_at_epoch(19), 0.5)
        self.assertEqual(schedule.rate_at_epoch(20), 0)

    def test_steps(self):
        schedule = rates("steps", decay_factor=0.5)
        self.assertEqual(
            [schedule.rate_at_epoch(t) for t in (7, 8, 15, 16, 99)], [0.5, 0.25, 0.25, 0.125, 0.125]
        )

    def test_a_step_during_warmup(self):
        schedule = rates("steps", decay_epochs=(2,), decay_factor=0.5)
        self.assertEqual([schedule.rate_at_epoch(t) for t in range(5)], [0.125, 0.25, 0.1875, 0.25, 0.25])

    def test_constant(self):
        self.assertEqual({rates("constant").rate_at_epoch(t) for t in range(3, 200)}, {0.5})


class EverySchedule(unittest.TestCase):
    @given(
        name=st.sampled_from(sorted(SCHEDULES)),
        horizon=st.floats(0.1, 300),
        fraction=st.floats(0, 1),
        t=st.integers(0, 1000),
    )
    def test_within_bounds_and_never_rising_after_the_warmup(self, name, horizon, fraction, t):
        steps = {"decay_epochs": (horizon / 2,)} if name == "steps" else {}
        schedule = rates(name, horizon_epochs=horizon, warmup_epochs=horizon * fraction, **steps)
        now, later = schedule.rate_at_epoch(t), schedule.rate_at_epoch(t + 1)
        self.assertTrue(0 <= now <= 0.5, now)
        if t > schedule.warmup_epochs:
            self.assertLessEqual(later, now)
        if t >= schedule.last_epoch:
            self.assertEqual(now, schedule.rate_at_epoch(schedule.last_epoch))

    def test_wrong_values_are_refused(self):
        wrong = {
            "name": {"name": "triangle"},
            "peak": {"peak": 0.0},
            "finite": {"peak": math.nan},
            "horizon_epochs": {"horizon_epochs": 0},
            "warmup_epochs is 21": {"warmup_epochs": 21},
            "warmup_epochs is -1": {"warmup_epochs": -1},
            "decay_epochs": {"decay_epochs": (5,)},
            "'steps'": {"name": "steps"},
            "ascend": {"name": "steps", "decay_epochs": (8, 8)},
            "between": {"name": "steps", "decay_epochs": (8, 20)},
            "decay_factor": {"name": "steps", "decay_epochs": (8,), "decay_factor": 1.5},
        }
        good = {"name": "cosine", "peak": 0.5, "warmup_epochs": 4, "horizon_epochs": 20}
        for message, changes in wrong.items():
            with (
                self.subTest(message),
                self.assertRaisesRegex(ValueError, message if message != "name" else "triangle"),
            ):
                EpochRates(**(good | changes))

    def test_negative_epoch_is_refused(self):
        with self.assertRaisesRegex(ValueError, "-1"):
            rates("cosine").rate_at_epoch(-1)

    def test_needs_no_tensorflow(self):
        command = "import sys, tf_fullbatch.optim.schedules; sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
        self.assertEqual(subprocess.run([sys.executable, "-c", command], check=False).returncode, 0)


class ScaleLearningRateTest(unittest.TestCase):
    def test_linear(self):
        self.assertEqual(scale_learning_rate(0.1, 8192, "linear"), 0.1 * 64)
        self.assertEqual(scale_learning_rate(0.1, 128, "linear"), 0.1)
        self.assertEqual(scale_learning_rate(0.1, 512, "linear", base=256), 0.2)

    def test_none(self):
        self.assertEqual(scale_learning_rate(0.1, 8192, "none"), 0.1)

    def test_wrong_values_are_refused(self):
        with self.assertRaisesRegex(ValueError, "sqrt"):
            scale_learning_rate(0.1, 128, "sqrt")
        with self.assertRaisesRegex(ValueError, "update_batch_size is 0"):
            scale_learning_rate(0.1, 0, "linear")


if __name__ == "__main__":
    unittest.main()
