"""The edge of stability in simulated series with known entry and exit, and in gradient descent on a network."""

import unittest

import numpy as np
from absl.testing import parameterized
from scipy.sparse.linalg import LinearOperator, eigsh

from tf_fullbatch.analysis import stability
from tf_fullbatch.analysis.edge import WINDOW, batch_means, find_edge
from tf_fullbatch.errors import UserError


def autoregressive(generator, length, correlation, deviation=1.0):
    """`x_t = c x_t-1 + noise`, stationary, of mean 0."""
    series = [deviation * generator.normal()]
    for noise in generator.normal(size=length - 1):
        series.append(correlation * series[-1] + deviation * np.sqrt(1 - correlation**2) * noise)
    return np.array(series)


def oscillating(length, rising):
    """A loss that falls over long times, and every second step only outside of `rising`."""
    steps = np.arange(length)
    return np.exp(-steps / length) * (1 + np.where(rising, 0.01 * (-1.0) ** steps, 0))


class SimulatedTest(parameterized.TestCase):
    """Sharpness rises over 1,000 steps to the edge, hovers there until 2,500, and falls within 500."""

    def setUp(self):
        self.steps = np.arange(4000)
        self.at_edge = (self.steps >= 1000) & (self.steps < 2500)
        hovering = 1 + autoregressive(np.random.default_rng(0), 4000, 0.9, 0.03)
        falling = np.clip(1 - (self.steps - 2500) / 500, 0.3, None)
        self.ratio = np.where(self.at_edge, hovering, np.minimum(self.steps / 1000, falling))
        self.loss = oscillating(4000, self.at_edge)

    @parameterized.parameters(1, 7, 10, 50, 100, 400)
    def test_finds_entry_and_exit(self, every):
        steps = self.steps[::every]
        found = find_edge(steps, 50 * self.ratio[::every], 50.0, self.loss, self.steps)
        slack = found.window / 2 + every
        self.assertEqual(max(WINDOW, 2 * every), found.window)
        self.assertLessEqual(abs(found.entry_step - 1000), slack)
        self.assertLessEqual(abs(found.exit_step - 2500), slack)
        self.assertEqual(found.exit_step - found.entry_step, found.dwell)
        self.assertEqual(found.dwell, found.measurements * every)
        self.assertAlmostEqual(1, found.mean_ratio, delta=0.05)
        if every <= 100:
            self.assertLess(found.interval[0], found.mean_ratio)
            self.assertGreater(found.interval[1], found.mean_ratio)

    def test_a_threshold_of_each_step(self):
        bounds = np.linspace(10, 90, 4000)
        expected = find_edge(self.steps, self.ratio, 1.0, self.loss)
        self.assertEqual(expected.dwell, find_edge(self.steps, bounds * self.ratio, bounds, self.loss).dwell)

    def test_an_edge_that_lasts_has_no_exit(self):
        found = find_edge(self.steps[:2000], self.ratio[:2000], 1.0, self.loss[:2000])
        self.assertIsNone(found.exit_step)
        self.assertEqual(1999 - found.entry_step, found.dwell)

    def test_an_edge_that_has_only_begun_is_not_found(self):
        self.assertIsNone(find_edge(self.steps[:1050], self.ratio[:1050], 1.0, self.loss[:1050]))

    def test_the_edge_left_in_between_is_no_dwelling(self):
        ratio, loss = np.tile(self.ratio, 2), np.tile(self.loss, 2)
        once = find_edge(self.steps, self.ratio, 1.0, self.loss)
        twice = find_edge(np.arange(8000), ratio, 1.0, loss)
        self.assertEqual((once.entry_step, 4000 + once.exit_step), (twice.entry_step, twice.exit_step))
        self.assertEqual(2 * once.dwell, twice.dwell)

    def test_bursts_far_apart_take_a_wide_window(self):
        loss = oscillating(4000, self.at_edge & (self.steps % 500 < 20))
        apart = find_edge(self.steps, self.ratio, 1.0, loss)
        joined = find_edge(self.steps, self.ratio, 1.0, loss, window=600)
        self.assertLess(apart.dwell, 1000)
        self.assertLessEqual(abs(joined.dwell - 1500), 600)

    def test_what_was_not_measured_is_left_out(self):
        ratio, loss, bounds = self.ratio.copy(), self.loss.copy(), np.ones(4000)
        ratio[::3], loss[5], bounds[1::7] = np.nan, np.inf, np.nan
        found = find_edge(self.steps, ratio, bounds, loss)
        self.assertLessEqual(abs(found.entry_step - 1000), WINDOW / 2)
        self.assertLessEqual(abs(found.exit_step - 2500), WINDOW / 2)


class NeverTest(unittest.TestCase):
    def setUp(self):
        self.steps = np.arange(3000)
        self.loss = oscillating(3000, True)
        self.ones = 1 + autoregressive(np.random.default_rng(1), 3000, 0.9, 0.03)

    def test_below_or_above(self):
        for level in (0.1, 0.8, 1.3, 5.0, -1.0):
            self.assertIsNone(find_edge(self.steps, level * self.ones, 1.0, self.loss))

    def test_a_loss_that_only_falls(self):
        self.assertIsNotNone(find_edge(self.steps, self.ones, 1.0, self.loss))
        self.assertIsNone(find_edge(self.steps, self.ones, 1.0, oscillating(3000, False)))

    def test_a_loss_that_rises_by_rounding_alone(self):
        generator = np.random.default_rng(2)
        flat = 1 + 1e-7 * generator.normal(size=3000)
        self.assertIsNone(find_edge(self.steps, self.ones, 1.0, flat))

    def test_a_ratio_that_passes_through(self):
        self.assertIsNone(find_edge(self.steps, np.linspace(0, 5, 3000), 1.0, self.loss))

    def test_nothing_measured(self):
        self.assertIsNone(find_edge([], [], 1.0, []))
        self.assertIsNone(find_edge([3], [1.0], 1.0, [1.0]))
        self.assertIsNone(find_edge(self.steps, self.ones, 1.0, [], []))
        self.assertIsNone(find_edge(self.steps, self.ones, 1.0, [2, 1, 2], [5000, 5001, 5002]))
        self.assertIsNone(find_edge(self.steps, np.full(3000, np.nan), 1.0, self.loss))

    def test_refuses_what_does_not_fit(self):
        for wrong in (
            lambda: find_edge([0, 1], [1.0], 1.0, [1.0, 1.0]),
            lambda: find_edge([0, 1], [1.0, 1.0], [1.0], [1.0, 1.0]),
            lambda: find_edge([0, 1], [1.0, 1.0], 1.0, [1.0]),
            lambda: find_edge([1, 0], [1.0, 1.0], 1.0, [1.0, 1.0]),
            lambda: find_edge([0, 1], [1.0, 1.0], 1.0, [1.0, 1.0], window=1),
            lambda: find_edge([0, 1], [1.0, 1.0], 1.0, [1.0, 1.0], band=(1.1, 0.9)),
            lambda: find_edge([0, 1], [1.0, 1.0], 1.0, [1.0, 1.0], confidence=95),
        ):
            self.assertRaises(UserError, wrong)


class BatchMeansTest(unittest.TestCase):
    def coverage(self, correlation, interval):
        generator = np.random.default_rng(3)
        made = [interval(autoregressive(generator, 400, correlation)) for _ in range(1000)]
        return np.mean([low <= 0 <= high for low, high in made])

    def test_covers_the_mean_of_autocorrelated_series(self):
        """95 % within the error of 1,000 trials, 0.7 %; at 0.8 batches are of 40 numbers, 9 of them independent."""
        for correlation, lowest in ((0.0, 0.93), (0.5, 0.93), (0.8, 0.91)):
            found = self.coverage(correlation, lambda series: batch_means(series)[1])
            self.assertTrue(lowest <= found <= 0.97, found)

    def test_where_independent_numbers_would_not(self):
        def naive(series):
            half = 1.96 * np.std(series, ddof=1) / np.sqrt(len(series))
            return np.mean(series) - half, np.mean(series) + half

        self.assertLess(self.coverage(0.8, naive), 0.6)

    def test_by_hand(self):
        """Batches (0, 2), (4, 6): means 1 and 5, deviation sqrt(8), t of 1 degree 12.7062."""
        mean, (low, high) = batch_means(np.array([0.0, 2.0, 4.0, 6.0]))
        self.assertEqual(3, mean)
        self.assertAlmostEqual(2 * 12.706204736, high - mean, places=6)
        self.assertAlmostEqual(2 * 12.706204736, mean - low, places=6)

    def test_too_few(self):
        mean, interval = batch_means(np.array([1.0, 2.0, 3.0]))
        self.assertEqual(2, mean)
        self.assertTrue(np.isnan(interval).all())


class TanhNetwork:
    """Two hidden layers of 12 tanh units fitted to the Chebyshev polynomial T_4 in 20 points; 193 parameters."""

    SHAPES = ((1, 12), (12,), (12, 12), (12,), (12, 1), (1,))

    def __init__(self):
        generator = np.random.default_rng(0)
        self.x = np.linspace(-1, 1, 20)[:, None]
        self.y = np.polynomial.chebyshev.Chebyshev.basis(4)(self.x)
        kernels = [
            generator.normal(size=s) / np.sqrt(s[0]) if len(s) == 2 else np.zeros(s) for s in self.SHAPES
        ]
        self.start = np.concatenate([np.ravel(k) for k in kernels])

    def loss_and_gradient(self, theta):
        """Half the mean squared error, and its gradient by hand."""
        cuts = np.cumsum([int(np.prod(s)) for s in self.SHAPES])[:-1]
        w1, b1, w2, b2, w3, b3 = (
            p.reshape(s) for p, s in zip(np.split(theta, cuts), self.SHAPES, strict=True)
        )
        h1 = np.tanh(self.x @ w1 + b1)
        h2 = np.tanh(h1 @ w2 + b2)
        error = h2 @ w3 + b3 - self.y
        d3 = error / len(error)
        d2 = d3 @ w3.T * (1 - h2**2)
        d1 = d2 @ w2.T * (1 - h1**2)
        parts = (self.x.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ d3, d3.sum(0))
        return np.mean(error**2) / 2, np.concatenate([np.ravel(p) for p in parts])

    def sharpness(self, theta, start):
        """The Hessian's largest eigenvalue and its vector, by central differences of gradients."""

        def product(v):
            up, down = (self.loss_and_gradient(theta + h * np.ravel(v))[1] for h in (1e-5, -1e-5))
            return (up - down) / 2e-5

        operator = LinearOperator((theta.size, theta.size), matvec=product, dtype=float)
        values, vectors = eigsh(operator, k=1, which="LA", v0=start, tol=1e-5)
        return values[0], vectors[:, 0]


class NetworkTest(unittest.TestCase):
    def trained(self, rate, momentum, threshold, steps, every=20):
        """The edge of a training, and its sharpness in units of the threshold."""
        network = TanhNetwork()
        theta, buffer, vector = network.start, np.zeros(network.start.size), np.ones(network.start.size)
        losses, sharpness = [], []
        for step in range(steps):
            loss, gradient = network.loss_and_gradient(theta)
            losses.append(loss)
            if step % every == 0:
                value, vector = network.sharpness(theta, vector)
                sharpness.append(value)
            buffer = momentum * buffer + gradient
            theta = theta - rate * (gradient + momentum * buffer)
        measured = np.arange(0, steps, every)
        found = find_edge(measured, sharpness, threshold, losses, np.arange(steps))
        return found, np.array(sharpness) / threshold

    def assert_settles_at_the_edge(self, found, ratios):
        """Sharpening to the threshold, then at it: within 1 % in the last third, where bursts are small.

        The loss may fall for longer than a window between bursts, so that not all steps are at the edge.
        """
        self.assertLess(ratios[0], 0.7)
        self.assertTrue(20 <= found.entry_step < 500, found)
        self.assertGreater(found.dwell, 2000)
        self.assertLess(found.interval[0], found.mean_ratio)
        self.assertAlmostEqual(1, found.mean_ratio, delta=0.03)
        np.testing.assert_allclose(np.mean(ratios[2 * len(ratios) // 3 :]), 1, atol=0.01)

    def test_gradient_descent_sharpens_to_two_over_the_rate(self):
        bound = stability.gradient_descent(0.4).threshold
        self.assert_settles_at_the_edge(*self.trained(0.4, 0.0, bound, 3000))

    def test_nesterov_sharpens_to_its_own_threshold(self):
        bound = stability.nesterov(0.2, 0.5).threshold
        self.assert_settles_at_the_edge(*self.trained(0.2, 0.5, bound, 3000))

    def test_a_small_rate_does_not_reach_the_edge(self):
        found, ratios = self.trained(0.05, 0.0, stability.gradient_descent(0.05).threshold, 3000)
        self.assertIsNone(found)
        self.assertGreater(ratios[-1], 2 * ratios[0])


if __name__ == "__main__":
    unittest.main()
