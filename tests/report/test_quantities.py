"""Digits: as many as the spread allows, the same in a mean and in its spread."""

import unittest

from tf_fullbatch.report.quantities import ACCURACY, LOSS, MINUS


class QuantityTest(unittest.TestCase):
    def test_accuracies_have_two_decimals(self):
        self.assertEqual(ACCURACY.text(95.0, 1.0), "95.00 ± 1.00")
        self.assertEqual(ACCURACY.text(95.126, 0.0449), "95.13 ± 0.04")

    def test_losses_have_the_decimals_of_the_first_two_digits_of_their_spread(self):
        for mean, spread, text in (
            (0.312345, 0.0123, "0.312 ± 0.012"),
            (2.3012, 0.21, "2.30 ± 0.21"),
            (2.3012, 3.4, "2.3 ± 3.4"),
            (123.4, 45.6, "123 ± 46"),
            (0.5, 0.0, "0.5000 ± 0.0000"),
            (0.00012345, None, "0.000123"),
            (0.31234567, None, "0.3123"),
            (1234.5, None, "1234"),
            (0.0, None, "0.000"),
            (3.2e12, 4.1e11, "3.2e+12 ± 4.1e+11"),
        ):
            self.assertEqual(LOSS.text(mean, spread), text)

    def test_differences_have_a_sign_but_for_nothing(self):
        self.assertEqual(LOSS.signed(0.0123, 0.0021), "+0.0123")
        self.assertEqual(LOSS.signed(-0.0123, 0.0021), f"{MINUS}0.0123")
        self.assertEqual(ACCURACY.signed(-0.004), "0.00")

    def test_what_is_better(self):
        self.assertTrue(ACCURACY.better(2, 1))
        self.assertTrue(LOSS.better(1, 2))
