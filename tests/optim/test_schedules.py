"""Learning rates by epoch, without TensorFlow."""

import math
import subprocess
import sys
import unittest

from hypothesis import given
from hypothesis import strategies as st

from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.schedules.rates import EpochRates
from tf_fullbatch.optim.schedules.registry import SCHEDULES
from tf_fullbatch.optim.schedules.run_rates import RunRates, Stretch
from tf_fullbatch.optim.settings import OptimizerConfig

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
    lengths = {"peak": 0.5, "warmup_epochs": 4, "horizon_epochs": 20}
    own = {"decay_epochs": (8, 16)} if name == "steps" else {}
    own |= {key: changes.pop(key) for key in ("decay_epochs", "decay_factor") if key in changes}
    schedule = OptimizerConfig.component("schedule", name, **own)
    return EpochRates(schedule=schedule, **(lengths | changes))


class PublishedTest(unittest.TestCase):
    def test_table(self):
        for (peak, warmup, horizon), row in PUBLISHED.items():
            schedule = rates("published", peak=peak, warmup_epochs=warmup, horizon_epochs=horizon)
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
            "peak": {"peak": 0.0},
            "finite": {"peak": math.nan},
            "horizon_epochs": {"horizon_epochs": 0},
            "warmup_epochs is 21": {"warmup_epochs": 21},
            "warmup_epochs is -1": {"warmup_epochs": -1},
        }
        for message, changes in wrong.items():
            with self.subTest(message), self.assertRaisesRegex(ValueError, message):
                rates("cosine", **changes)

    def test_wrong_settings_are_refused(self):
        wrong = {
            "--schedule=triangle: accepted are published, cosine": {"name": "triangle"},
            "--decay_epochs=5 has no effect with --schedule=cosine": {"name": "cosine", "decay_epochs": (5,)},
            "--schedule=steps needs --decay_epochs": {"name": "steps", "decay_epochs": ()},
            "--decay_epochs=8,8: give ascending": {"name": "steps", "decay_epochs": (8, 8)},
            "before the schedule's end, 20": {"name": "steps", "decay_epochs": (8, 20)},
            "--decay_factor=1.5: must be at most 1": {"name": "steps", "decay_factor": 1.5},
        }
        for message, changes in wrong.items():
            with self.subTest(message), self.assertRaisesRegex(UserError, message):
                rates(**changes)

    def test_negative_epoch_is_refused(self):
        with self.assertRaisesRegex(ValueError, "-1"):
            rates("cosine").rate_at_epoch(-1)

    def test_needs_no_tensorflow(self):
        command = "import sys, tf_fullbatch.optim.settings; sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
        self.assertEqual(subprocess.run([sys.executable, "-c", command], check=False).returncode, 0)


class RemarksTest(unittest.TestCase):
    def remarks(self, name: str, epochs: int, **lengths: float) -> list[str]:
        given = {"peak": 0.4, "warmup_epochs": 0.0, "horizon_epochs": 10.0, **lengths}
        return RunRates(
            (Stretch(epochs=epochs, rates=EpochRates(schedule=SCHEDULES[name](), **given)),)
        ).remarks()

    def test_nothing_where_there_is_nothing_to_say(self):
        self.assertEqual(self.remarks("cosine", 10), [])
        self.assertEqual(self.remarks("constant", 100), [])
        self.assertEqual(self.remarks("constant", 5), [])
        self.assertEqual(self.remarks("cosine", 1, horizon_epochs=1.0), [])

    def test_passes_that_move_nothing(self):
        (said,) = self.remarks("cosine", 14)
        self.assertIn("4 of 14 passes have the learning rate 0, in which no weight moves: 11 to 14", said)
        (said,) = self.remarks("published", 8, warmup_epochs=2.0)
        self.assertIn("1 of 8 passes has the learning rate 0, in which no weight moves: 1", said)
        (said,) = self.remarks("published", 20, warmup_epochs=2.0)
        self.assertRegex(said, r"passes have the learning rate 0, in which no weight moves: 1, 1\d to 20$")

    def test_an_end_at_the_peak_rate(self):
        (said,) = self.remarks("cosine", 10, horizon_epochs=4000.0)
        self.assertIn(
            "the last pass has 100% of the peak learning rate: the schedule ends after 4000 epochs", said
        )
        self.assertEqual(self.remarks("cosine", 10, horizon_epochs=20.0), [])
        (said,) = self.remarks("linear", 10, warmup_epochs=10.0)
        self.assertIn("100% of the peak learning rate: the schedule has a warmup of 10 of 10 epochs", said)

    def test_appended_passes(self):
        given = {"extend_epochs": (3, 4), "extend_warmup_epochs": (1, 4)}
        config = OptimizerConfig(schedule="published", **given)
        said = config.rates(128, epochs=2).remarks()
        self.assertIn("2 of 9 passes have the learning rate 0, in which no weight moves: 3, 6", said[0])
        self.assertEqual(1, len(said))
        said = OptimizerConfig(schedule="linear", **given).rates(128, epochs=2).remarks()
        self.assertIn("100% of the peak learning rate: the schedule has a warmup of 4 of 4 epochs", said[0])

    def test_appended_passes_far_above_the_rate_before_them(self):
        given = {"schedule": "cosine", "learning_rate": 1.6, "extend_epochs": (5,)}
        said = OptimizerConfig(**given).rates(128, epochs=40).remarks()
        self.assertEqual(
            said,
            [
                "the appended passes go up to the rate 1.6, those before them end at 0.0025: "
                "--extend_learning_rate says another"
            ],
        )
        said = OptimizerConfig(**given, extend_learning_rate=(0.1,)).rates(128, epochs=40).remarks()
        self.assertEqual(said, [])


class ScaleLearningRateTest(unittest.TestCase):
    def peak(self, update_batch_size: int, scaling: str) -> float:
        config = OptimizerConfig(learning_rate=0.1, learning_rate_scaling=scaling)
        return config.rates(update_batch_size, epochs=60).peak

    def test_linear(self):
        self.assertEqual(self.peak(8192, "linear"), 0.1 * 64)
        self.assertEqual(self.peak(128, "linear"), 0.1)
        self.assertEqual(self.peak(64, "linear"), 0.1 / 2)

    def test_none(self):
        self.assertEqual(self.peak(8192, "none"), 0.1)

    def test_wrong_values_are_refused(self):
        with self.assertRaisesRegex(UserError, "--learning_rate_scaling=sqrt: accepted are none, linear"):
            self.peak(128, "sqrt")
        with self.assertRaisesRegex(ValueError, "peak learning rate is 0"):
            self.peak(0, "linear")

    def test_the_horizon_is_training_s_length_unless_one_is_given(self):
        self.assertEqual(OptimizerConfig().rates(1, epochs=60).stretches[0].rates.horizon_epochs, 60)
        self.assertEqual(
            OptimizerConfig(schedule_epochs=90).rates(1, epochs=60).stretches[0].rates.horizon_epochs, 90
        )


if __name__ == "__main__":
    unittest.main()
