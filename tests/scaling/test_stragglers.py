"""The slowest of many devices, against closed forms and a simulation."""

import math
import unittest

import numpy as np
from scipy.special import ndtr

from tf_fullbatch.scaling.simulation import slowest_seconds
from tf_fullbatch.scaling.stragglers import Group, groups, slowest


class GroupsTest(unittest.TestCase):
    def test_are_those_of_dealing_in_turn(self):
        for micro_batches in range(1, 30):
            for replicas in range(1, 12):
                counts = np.bincount(np.arange(micro_batches) % replicas, minlength=replicas)
                expected = {
                    (int(n), int(count))
                    for count, n in zip(*np.unique(counts, return_counts=True), strict=True)
                    if count
                }
                with self.subTest(micro_batches=micro_batches, replicas=replicas):
                    self.assertEqual({tuple(group) for group in groups(micro_batches, replicas)}, expected)


class SlowestTest(unittest.TestCase):
    def test_without_deviations_is_who_has_most(self):
        self.assertEqual(slowest([Group(3, 8), Group(5, 7)], 0.0), 8)

    def test_one_device_takes_its_mean(self):
        for spread in (0.01, 0.3, 1.0):
            self.assertAlmostEqual(slowest([Group(1, 7)], spread, spread / 2), 7, places=9)

    def test_of_two_log_normal_times(self):
        # E max(X, Y) = 2 E X Phi(sigma / sqrt 2), exact for one micro-batch each.
        for spread in (0.05, 0.5, 1.0):
            sigma = math.sqrt(math.log1p(spread**2))
            self.assertAlmostEqual(slowest([Group(2, 1)], spread), 2 * ndtr(sigma / math.sqrt(2)), places=9)

    def test_of_few_normal_times(self):
        # Expected maxima of 2, 3 and 5 standard normal numbers: 1/sqrt(pi), 1.5/sqrt(pi), 1.16296.
        spread, rounds = 1e-3, 16
        for devices, expected in ((2, 0.5641896), (3, 0.8462844), (5, 1.1629645)):
            excess = (slowest([Group(devices, rounds)], spread) - rounds) / (spread * math.sqrt(rounds))
            self.assertAlmostEqual(excess, expected, delta=1e-3)

    def test_waiting_falls_as_the_root_of_the_rounds(self):
        one, many = (slowest([Group(64, rounds)], 0.02) / rounds - 1 for rounds in (1, 100))
        self.assertAlmostEqual(one / many, 10, delta=0.5)

    def test_slow_devices_are_not_averaged_away(self):
        one, many = (slowest([Group(64, rounds)], 0.0, 0.02) / rounds - 1 for rounds in (1, 100))
        self.assertAlmostEqual(one, many, places=6)

    def test_grows_with_devices_and_deviations(self):
        by_devices = [slowest([Group(n, 4)], 0.05) for n in (1, 2, 8, 64, 512, 100_000)]
        by_spread = [slowest([Group(64, 4)], spread) for spread in (0.0, 0.01, 0.05, 0.2, 1.0)]
        for values in (by_devices, by_spread):
            self.assertTrue(all(np.diff(values) > 0), values)

    def test_agrees_with_a_simulation(self):
        trials = 4000
        for dealt, spread, device_spread in (
            ([Group(8, 1)], 0.3, 0.0),
            ([Group(16, 20)], 0.2, 0.0),
            ([Group(3, 7), Group(13, 6)], 0.1, 0.05),  # with one micro-batch less they may still be last
            ([Group(1, 3), Group(40, 2)], 0.3, 0.0),
        ):
            with self.subTest(dealt=dealt):
                simulated = slowest_seconds(dealt, spread, device_spread, trials, seed=1)
                error = simulated.std() / math.sqrt(trials)
                expected = slowest(dealt, spread, device_spread)
                # Four standard errors, and what two moments leave out of a sum of few skewed times.
                self.assertAlmostEqual(simulated.mean(), expected, delta=4 * error + 5e-4 * expected)
                self.assertLess(error / expected, 3e-3)


if __name__ == "__main__":
    unittest.main()
