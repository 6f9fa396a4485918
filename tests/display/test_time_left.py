"""The time left, on runs whose clock is made up: how far it is from what follows."""

import unittest
from dataclasses import dataclass

from tf_fullbatch.display.time_left import Recurring, TimeLeft


@dataclass
class MadeUpRun:
    """A run whose every part takes a known time.

    Attributes:
        steps: Steps in all.
        per_call: Steps of a call of TensorFlow's; an epoch's last call is shorter where they do not divide it.
        per_epoch: Steps of an epoch.
        step: Seconds of a step.
        compiling: Seconds of the first call beside its steps.
        every: Steps between evaluations; None for none.
        evaluation: Seconds of an evaluation.
        compiling_evaluation: Seconds of the first one besides.
        measure_every: Steps between measurements, which begin before the first step; None for none.
        measurement: Seconds of a measurement.
        compiling_measurement: Seconds of the first one besides.
        begun: Steps made by an earlier process.
    """

    steps: int
    per_call: int = 1
    per_epoch: int = 1
    step: float = 1.0
    compiling: float = 0.0
    every: int | None = None
    evaluation: float = 0.0
    compiling_evaluation: float = 0.0
    measure_every: int | None = None
    measurement: float = 0.0
    compiling_measurement: float = 0.0
    begun: int = 0

    def errors(self) -> list[tuple[float, float]]:
        """(share of the steps done, estimate / what really follows - 1) after each call but the first and the last."""
        evaluations = None
        if self.every is not None:  # a computed cost that is a third too low
            evaluations = Recurring(every=self.every, in_steps=self.evaluation / self.step / 1.5)
        measurements = None if self.measure_every is None else Recurring(every=self.measure_every)
        left = TimeLeft(self.begun, self.steps, 0.0, evaluations, measurements)
        now, done, estimates = 0.0, self.begun, []
        if self.measure_every is not None and not self.begun:
            now += self.measured(left)
        while done < self.steps:
            made = min(self.per_call, self.per_epoch - done % self.per_epoch)
            if self.measure_every is not None:
                made = min(made, self.measure_every - done % self.measure_every)
            now += made * self.step + (self.compiling if done == self.begun else 0)
            done += made
            if self.every is not None and (done % self.every == 0 or done == self.steps):
                spent = self.evaluation + self.compiling_evaluation
                self.compiling_evaluation = 0.0
                now += spent
                left.evaluated(spent / 2)  # of two splits
                left.evaluated(spent / 2)
            if self.measure_every is not None and (done % self.measure_every == 0 or done == self.steps):
                now += self.measured(left)
            left.step_done(done, now)
            estimates.append((done, now, left.seconds(self.steps - done)))
        begun, steps = self.begun, self.steps
        return [
            ((done - begun) / (steps - begun), estimate / (now - at) - 1)
            for done, at, estimate in estimates[1:-1]
        ]

    def measured(self, left: TimeLeft) -> float:
        """Measures, and returns the seconds that it took; what is computed is said to be a third of what it is."""
        spent, self.compiling_measurement = self.measurement + self.compiling_measurement, 0.0
        left.measured(spent, self.measurement / self.step / 3)
        return spent


class TimeLeftTest(unittest.TestCase):
    def assert_right(self, run: MadeUpRun, within: float) -> None:
        """After the first tenth of a run no estimate is further off than this."""
        late = [error for share, error in run.errors() if share >= 0.1]
        self.assertGreater(len(late), 3)
        self.assertLess(max(map(abs, late)), within)

    def test_steps_of_one_duration_are_foretold_exactly_whatever_the_first_compiles(self):
        self.assert_right(MadeUpRun(40, compiling=60.0), 1e-9)
        self.assert_right(MadeUpRun(1000, per_call=30, per_epoch=100, step=0.01, compiling=5.0), 1e-9)
        self.assert_right(MadeUpRun(1000, begun=900, compiling=60.0), 1e-9)

    def test_evaluations_at_a_cadence(self):
        for every in (1, 5, 10, 25):
            with self.subTest(every=every):
                self.assert_right(
                    MadeUpRun(100, compiling=20.0, every=every, evaluation=2.0, compiling_evaluation=4.0),
                    0.15,
                )

    def test_evaluations_are_foretold_exactly_once_there_were_two(self):
        run = MadeUpRun(100, compiling=20.0, every=7, evaluation=3.0, compiling_evaluation=9.0)
        late = [error for share, error in run.errors() if share >= 0.14]
        self.assertLess(max(map(abs, late)), 1e-9)

    def test_mini_batches_with_evaluations_after_some_epochs(self):
        run = MadeUpRun(
            1000, per_call=12, per_epoch=100, step=0.02, compiling=4.0,
            every=300, evaluation=0.3, compiling_evaluation=0.8,
        )  # fmt: skip
        self.assert_right(run, 0.15)

    def test_slow_measurements_at_a_cadence(self):
        for step, measurement, every in ((1.0, 30.0, 5), (20.0, 400.0, 10), (0.01, 3.0, 100), (0.05, 0.5, 3)):
            with self.subTest(step=step, measurement=measurement, every=every):
                run = MadeUpRun(
                    1000, per_call=20, per_epoch=100, step=step, compiling=10.0, measure_every=every,
                    measurement=measurement, compiling_measurement=15.0,
                )  # fmt: skip
                self.assert_right(run, 1e-9)

    def test_slow_measurements_between_long_steps(self):
        """As a part of the steps they would be off by up to 0.7 here."""
        run = MadeUpRun(300, step=5.0, compiling=10.0, measure_every=20, measurement=300.0)
        self.assert_right(run, 1e-9)

    def test_a_measurement_that_took_long_once_is_soon_no_measure_of_the_others(self):
        """Seconds of a run on a busy machine, whose second measurement found an eigenvalue more."""
        left = TimeLeft(0, 60, 0.0, None, Recurring(every=10))
        took, now = iter([17.6, 8.8, 3.2, 3.8, 2.7, 2.9, 2.1]), 0.0
        for step in range(61):
            now += 0.15 if step else 0.0
            if step % 10 == 0:
                spent = next(took)
                left.measured(spent, 20.0)
                now += spent
            if step:
                left.step_done(step, now)
            if step == 20:
                self.assertAlmostEqual(left.seconds(40), 40 * 0.15 + 3.8 + 2.7 + 2.9 + 2.1, delta=2.0)

    def test_slow_measurements_between_evaluations(self):
        run = MadeUpRun(
            400, step=0.5, compiling=20.0, every=10, evaluation=2.0, compiling_evaluation=4.0,
            measure_every=25, measurement=40.0, compiling_measurement=10.0,
        )  # fmt: skip
        self.assert_right(run, 0.15)

    def test_before_a_second_measurement_what_is_computed_counts_not_what_was_compiled(self):
        run = MadeUpRun(100, measure_every=50, measurement=3.0, compiling_measurement=1000.0)
        early = [error for share, error in run.errors() if share < 0.5]
        self.assertLess(max(map(abs, early)), 0.1)

    def test_a_resumed_run_learns_of_its_measurements_when_the_first_is_made(self):
        run = MadeUpRun(200, begun=100, compiling=30.0, measure_every=5, measurement=10.0)
        self.assert_right(run, 1e-9)

    def test_a_resumed_run_compiles_again(self):
        run = MadeUpRun(200, begun=100, compiling=30.0, every=10, evaluation=1.0, compiling_evaluation=6.0)
        self.assert_right(run, 0.15)

    def test_pace_follows_the_recent_past(self):
        left = TimeLeft(0, 600, 0.0)
        now = 0.0
        for step in range(1, 501):
            now += 10.0 if step <= 400 else 1.0
            left.step_done(step, now)
        # The memory of 70 s reaches back over the 100 fast steps and at most three slow ones.
        self.assertLess(abs(left.seconds(100) - 100), 40)

    def test_pace_includes_what_happens_between_steps(self):
        left = TimeLeft(0, 210, 0.0)
        now = 0.0
        for step in range(1, 201):
            now += 1.0 + (5.0 if step % 5 == 0 else 0.0)
            left.step_done(step, now)
        self.assertAlmostEqual(left.seconds(10), 20.0, delta=1.0)

    def test_nothing_is_said_of_the_first_step_which_compiles(self):
        left = TimeLeft(7, 10, 0.0)
        left.step_done(8, 4.0)
        self.assertIsNone(left.seconds(2))
        left.step_done(9, 5.0)
        self.assertEqual(left.seconds(1), 1.0)


class RecurringTest(unittest.TestCase):
    def test_how_many_are_left(self):
        plan = Recurring(every=10, in_steps=1.0)
        self.assertEqual([10, 10, 9, 1, 0], [plan.left(step, 100) for step in (0, 9, 10, 99, 100)])
        self.assertEqual([10, 1, 1, 0], [plan.left(step, 95) for step in (0, 90, 94, 95)])


if __name__ == "__main__":
    unittest.main()
