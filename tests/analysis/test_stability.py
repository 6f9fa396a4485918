"""The thresholds against the spectral radius of each recursion, written as the matrix of its state."""

import math
import unittest

import numpy as np
from absl.testing import parameterized
from scipy.optimize import brentq

from tf_fullbatch.analysis import stability
from tf_fullbatch.analysis.stability import Stability
from tf_fullbatch.errors import UserError

SETTINGS = 20


def settings(seed):
    """Rates, momenta and decays, times the rate below 2."""
    generator = np.random.default_rng(seed)
    rates = 10 ** generator.uniform(-3, 1, SETTINGS)
    return zip(
        rates, generator.uniform(0, 0.99, SETTINGS), generator.uniform(0, 1.9, SETTINGS) / rates, strict=True
    )


def heavy_ball(curvature, rate, b, decay=0.0):
    """State (p, buf): buf' = b buf + h p; p' = (1 - lr wd) p - lr buf'."""
    return np.array([[1 - rate * decay - rate * curvature, -rate * b], [curvature, b]])


def nesterov(curvature, rate, b, decay=0.0):
    """State (p, buf): buf' = b buf + h p; p' = (1 - lr wd) p - lr (h p + b buf')."""
    return np.array([[1 - rate * decay - rate * curvature * (1 + b), -rate * b * b], [curvature, b]])


def adam(curvature, rate, b, decay=0.0):
    """State (p, m): m' = b m + (1 - b) h p; p' = (1 - lr wd) p - lr m'."""
    fed = (1 - b) * curvature
    return np.array([[1 - rate * decay - rate * fed, -rate * b], [fed, b]])


def pnm(c):
    """With beta_0 = c: the recursion, and its threshold."""

    def matrix(curvature, rate, b, decay=0.0):
        """State (p, m-, m--): m = b^2 m-- + (1 - b^2) h p; p' = (1 - lr wd) p - lr ((1 + c) m - c m-) / n."""
        fed, share = (1 - b * b) * curvature, rate / np.sqrt((1 + c) ** 2 + c**2)
        moved = [1 - rate * decay - share * (1 + c) * fed, share * c, -share * (1 + c) * b * b]
        return np.array([moved, [fed, 0, b * b], [0, 1, 0]])

    return matrix, lambda rate, b: stability.positive_negative_momentum(rate, c)


def radius(matrix):
    return np.abs(np.linalg.eigvals(matrix)).max()


METHODS = {
    "heavy_ball": (heavy_ball, stability.heavy_ball),
    "nesterov": (nesterov, stability.nesterov),
    "adam": (adam, stability.adam),
    **{f"pnm, beta_0={c}": pnm(c) for c in (0.0, 0.3, 1.0, 4.0)},
}


def crossing(matrix, near):
    """The curvature at which a method begins to grow, found without the formula."""
    return brentq(lambda h: radius(matrix(h)) - 1, 0.9 * near, 1.1 * near, xtol=1e-13 * near, rtol=1e-14)


class ThresholdTest(parameterized.TestCase):
    def assert_threshold(self, found, matrix):
        crossed = crossing(matrix, found.threshold)
        self.assertLessEqual(abs(crossed - found.threshold), 1e-9 * found.threshold)

    @parameterized.parameters(*METHODS)
    def test_growth_crosses_one_there(self, name):
        matrix, of = METHODS[name]
        for rate, b, _ in settings(0):
            self.assert_threshold(of(rate, b), lambda h, rate=rate, b=b: matrix(h, rate, b))

    @parameterized.parameters(*METHODS)
    def test_decoupled_decay(self, name):
        matrix, of = METHODS[name]
        for rate, b, decay in settings(1):
            found = stability.with_decoupled_decay(of(rate, b), rate, decay)
            self.assert_threshold(found, lambda h, of=(rate, b, decay): matrix(h, *of))

    @parameterized.parameters(*METHODS)
    def test_coupled_decay_and_clipping(self, name):
        matrix, of = METHODS[name]
        for factor, (rate, b, decay) in zip(np.linspace(0.05, 0.95, SETTINGS), settings(2), strict=True):
            free = of(rate, b)
            decay *= 0.1 * free.threshold * rate
            decay = min(decay, 0.9 * free.threshold)
            found = stability.with_clipping(stability.with_coupled_decay(free, decay), factor)
            self.assert_threshold(found, lambda h, of=(rate, b), s=factor, wd=decay: matrix(s * h + wd, *of))

    @parameterized.parameters(*METHODS)
    def test_nothing_grows_anywhere_below(self, name):
        """Neither complex roots nor z = 1, for curvatures from 0 on."""
        matrix, of = METHODS[name]
        for rate, b, decay in settings(3):
            bound = stability.with_decoupled_decay(of(rate, b), rate, decay).threshold
            grown = [radius(matrix(h, rate, b, decay)) for h in np.linspace(0, bound * (1 - 1e-9), 101)]
            self.assertLessEqual(max(grown), 1 + 1e-13)

    def test_without_momentum_all_are_gradient_descent(self):
        for of in (stability.heavy_ball, stability.nesterov, stability.adam):
            self.assertEqual(stability.gradient_descent(0.1).threshold, of(0.1, 0.0).threshold)
        free = stability.positive_negative_momentum(0.1, 0.0)
        self.assertEqual(stability.gradient_descent(0.1).threshold, free.threshold)

    def test_known_values(self):
        """The recipes' momentum of 0.9 (Cohen et al. 2021, 2022): 3.8, 1.357 and 38 over the rate."""
        self.assertAlmostEqual(3.8, stability.heavy_ball(1.0, 0.9).threshold)
        self.assertAlmostEqual(3.8 / 2.8, stability.nesterov(1.0, 0.9).threshold)
        self.assertAlmostEqual(38, stability.adam(1.0, 0.9).threshold)

    def test_pnm_at_its_own_beta_0(self):
        self.assertAlmostEqual(2 * 5**0.5 / 3, stability.positive_negative_momentum(1.0, 1.0).threshold)


class FormulaTest(unittest.TestCase):
    def test_says_how_it_comes_about(self):
        found = stability.with_coupled_decay(stability.nesterov(0.1, 0.9), 0.01)
        self.assertEqual("((2 + 2b) / ((1 + 2b) lr) - wd) / s", stability.with_clipping(found, 0.5).formula)
        found = stability.with_decoupled_decay(stability.adam(0.1, 0.9), 0.1, 0.01)
        self.assertEqual("(1 - lr wd / 2) (2 + 2b) / ((1 - b) lr)", found.formula)

    def test_what_has_no_effect_is_not_mentioned(self):
        plain = stability.gradient_descent(0.1)
        self.assertEqual(Stability(20.0, "2 / lr"), plain)
        self.assertIs(plain, stability.with_coupled_decay(plain, 0.0))
        self.assertIs(plain, stability.with_decoupled_decay(plain, 0.1, 0.0))
        self.assertIs(plain, stability.with_clipping(plain, 1.0))

    def test_refuses_what_is_out_of_range(self):
        plain = stability.gradient_descent(0.1)
        for wrong in (
            lambda: stability.gradient_descent(0.0),
            lambda: stability.gradient_descent(math.nan),
            lambda: stability.heavy_ball(0.1, 1.0),
            lambda: stability.nesterov(0.1, -0.1),
            lambda: stability.adam(math.inf, 0.9),
            lambda: stability.positive_negative_momentum(0.1, -1.0),
            lambda: stability.positive_negative_momentum(0.0, 1.0),
            lambda: stability.with_coupled_decay(plain, -1.0),
            lambda: stability.with_decoupled_decay(plain, 0.1, 20.0),
            lambda: stability.with_clipping(plain, 0.0),
            lambda: stability.with_clipping(plain, 1.5),
        ):
            self.assertRaises(UserError, wrong)


if __name__ == "__main__":
    unittest.main()
