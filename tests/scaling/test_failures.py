"""Failures and checkpoints: closed forms against limits, their derivation by quadrature, and simulated runs."""

import math
import unittest

import numpy as np
from scipy import integrate

from tf_fullbatch.scaling.failures import best_interval, best_steps, segment_seconds, slowdown, young
from tf_fullbatch.scaling.simulation import run_seconds


class SegmentTest(unittest.TestCase):
    def test_without_failures(self):
        self.assertEqual(segment_seconds(7.0, math.inf, 5.0), 7.0)
        self.assertAlmostEqual(segment_seconds(7.0, 1e12, 5.0), 7.0, places=6)

    def test_is_the_fixed_point_of_trying_again(self):
        # E = s P(no failure) + integral of (t + R' + E) over failures at t < s, and R' of a start likewise.
        segment, mtbf, restart = 50.0, 80.0, 12.0

        def tries(length: float, then: float) -> float:
            early, _ = integrate.quad(lambda t: (t + then) * math.exp(-t / mtbf) / mtbf, 0, length)
            return (length * math.exp(-length / mtbf) + early) / math.exp(-length / mtbf)

        start = tries(restart, 0.0)
        self.assertAlmostEqual(segment_seconds(segment, mtbf, restart), tries(segment, start), places=8)

    def test_a_step_longer_than_all_luck_never_ends(self):
        self.assertEqual(segment_seconds(1e6, 1.0, 1.0), math.inf)


class IntervalTest(unittest.TestCase):
    def test_young_is_the_limit_of_rare_failures(self):
        self.assertAlmostEqual(best_interval(1e-3, 1e4) / young(1e-3, 1e4), 1, places=3)

    def test_is_daly_s_series(self):
        # Daly 2006: sqrt(2 C M) (1 + sqrt(C / 2M) / 3 + (C / 2M) / 9) - C.
        for checkpoint, mtbf in ((1.0, 1e5), (10.0, 1e4), (60.0, 3600.0)):
            q = checkpoint / (2 * mtbf)
            series = math.sqrt(2 * checkpoint * mtbf) * (1 + math.sqrt(q) / 3 + q / 9) - checkpoint
            self.assertAlmostEqual(best_interval(checkpoint, mtbf) / series, 1, delta=q)

    def test_is_where_the_derivative_vanishes(self):
        checkpoint, mtbf = 30.0, 1000.0
        at = best_interval(checkpoint, mtbf)

        def cost(work: float) -> float:
            return math.expm1((work + checkpoint) / mtbf) / work

        self.assertAlmostEqual((cost(at + 1e-3) - cost(at - 1e-3)) / 2e-3, 0, places=9)

    def test_whole_steps_are_the_best_of_all(self):
        for step, checkpoint, mtbf, most in (
            (10.0, 5.0, 2000.0, 100), (100.0, 5.0, 2000.0, 100), (900.0, 5.0, 300.0, 9), (1.0, 0.5, 1e6, 200),
        ):  # fmt: skip
            by_trying = min(range(1, most + 1), key=lambda n: slowdown(n, step, checkpoint, mtbf, 60.0))
            self.assertEqual(best_steps(step, checkpoint, mtbf, 60.0, most), by_trying)

    def test_without_failures_saves_at_the_end(self):
        self.assertEqual(best_steps(1.0, 1.0, math.inf, 1.0, 50), 50)


class SimulatedRunsTest(unittest.TestCase):
    def simulated(self, runs: int, **run) -> tuple[float, float]:
        """The mean time of some runs, and its standard error."""
        times = [run_seconds(seed=seed, **run) for seed in range(runs)]
        return float(np.mean(times)), float(np.std(times) / math.sqrt(runs))

    def test_without_failures_counts_steps_and_checkpoints(self):
        time = run_seconds(
            steps=10, step=3.0, every=4, checkpoint=0.5, nodes=1, mtbf=1e15, restart=9.0, seed=0
        )
        self.assertAlmostEqual(time, 10 * 3 + 3 * 0.5)

    def test_agree_with_the_closed_form(self):
        for every, nodes, restart in ((1, 4, 20.0), (5, 4, 20.0), (10, 32, 5.0)):
            run = {"steps": 40, "step": 10.0, "checkpoint": 2.0, "mtbf": 6400.0, "restart": restart}
            with self.subTest(every=every, nodes=nodes):
                mean, error = self.simulated(500, every=every, nodes=nodes, **run)
                expected = 400.0 * slowdown(every, 10.0, 2.0, 6400.0 / nodes, restart)
                self.assertAlmostEqual(mean, expected, delta=4 * error)
                self.assertLess(error / expected, 0.02)
                self.assertGreater(expected, 400.0 + 40 / every * 2.0 + 8 * error)  # failures are felt


if __name__ == "__main__":
    unittest.main()
