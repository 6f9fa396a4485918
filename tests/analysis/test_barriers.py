"""What a barrier is, by paths whose losses are given."""

import unittest

import numpy as np

from tf_fullbatch.analysis.barriers import Barrier, barrier_of
from tf_fullbatch.analysis.surfaces import Surface
from tf_fullbatch.errors import UserError


class BarrierTest(unittest.TestCase):
    def path(self, losses: list[float], accuracies: list[float]) -> Surface:
        a = np.linspace(0, 1, len(losses))
        return Surface((a,), np.array(losses), np.array(accuracies), "batch", "")

    def test_definitions(self) -> None:
        found = barrier_of(self.path([1, 5, 6, 2, 3], [0.9, 0.5, 0.45, 0.8, 0.7]))
        np.testing.assert_allclose(found, Barrier(6 - 2, 0.55 - 0.2, 6, (2 + 5 + 6 + 2) / 4), rtol=1e-12)
        flat_one = barrier_of(self.path([1, 1.5, 2], [0.9, 0.895, 0.89]))
        np.testing.assert_allclose(flat_one[:2], (0, 0.005), atol=1e-12)
        self.assertTrue(flat_one.connected)
        self.assertFalse(barrier_of(self.path([1, 1, 1], [0.9, 0.87, 0.9])).connected)
        unmeasured = barrier_of(self.path([1, 2, 1], [np.nan] * 3))
        self.assertTrue(np.isnan(unmeasured.error))
        self.assertFalse(unmeasured.connected)

    def test_words(self) -> None:
        with self.assertRaisesRegex(UserError, "this surface has 2 axes"):
            barrier_of(Surface.empty([[0, 1], [0, 1]], "batch"))
        with self.assertRaisesRegex(UserError, "some of its points are not computed"):
            barrier_of(Surface.empty([[0, 1]], "batch"))


if __name__ == "__main__":
    unittest.main()
