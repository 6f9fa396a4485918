"""Intervals of a mean of few differences, against tables and a simulation."""

import unittest

import numpy as np

from tf_fullbatch.report.statistics import deviation, half_width_factor, interval


class StatisticsTest(unittest.TestCase):
    def test_factors_are_those_of_students_table(self):
        # t(0.975) of 1, 2, 4 and 9 degrees of freedom in any table: 12.706, 4.303, 2.776, 2.262.
        for count, quantile in ((2, 12.706), (3, 4.303), (5, 2.776), (10, 2.262)):
            self.assertAlmostEqual(half_width_factor(count), quantile / np.sqrt(count), delta=1e-3)
        with self.assertRaisesRegex(ValueError, "at least 2"):
            half_width_factor(1)

    def test_interval_of_three(self):
        found = interval([1.0, 2.0, 3.0])
        self.assertAlmostEqual(found.mean, 2.0)
        self.assertAlmostEqual(found.deviation, 1.0)
        self.assertAlmostEqual(found.half_width, 2.484, delta=1e-3)

    def test_one_value_has_neither_spread_nor_interval(self):
        found = interval([1.5])
        self.assertEqual((found.mean, found.deviation, found.half_width), (1.5, None, None))
        self.assertIsNone(deviation([1.0]))
        with self.assertRaisesRegex(ValueError, "at least one"):
            interval([])

    def test_nineteen_of_twenty_intervals_hold_the_mean(self):
        draws = np.random.default_rng(0).normal(3.0, 2.0, size=(2000, 3))
        intervals = [interval(list(draw)) for draw in draws]
        held = np.mean([abs(found.mean - 3.0) <= found.half_width for found in intervals])
        # Four standard errors of a share of 0.95 among 2,000.
        self.assertAlmostEqual(held, 0.95, delta=4 * np.sqrt(0.95 * 0.05 / 2000))
