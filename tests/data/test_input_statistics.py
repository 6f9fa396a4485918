"""Means and deviations of pixels, exactly, and of numbers."""

import unittest
from unittest import mock

import numpy as np

from tf_fullbatch.data import input_statistics as module
from tf_fullbatch.data.input_statistics import input_statistics


class InputStatisticsTest(unittest.TestCase):
    def test_against_float64(self):
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (50, 7, 5, 3), dtype=np.uint8) // np.array([1, 2, 5], np.uint8)
        with mock.patch.object(
            module, "_STATISTICS_CHUNK_BYTES", 1000
        ):  # several chunks, the last one ragged
            mean, std = input_statistics(images)
        np.testing.assert_allclose(mean, (images / 255).mean((0, 1, 2)), rtol=1e-13)
        np.testing.assert_allclose(std, (images / 255).std((0, 1, 2)), rtol=1e-12)

    def test_exact(self):
        images = np.array([0, 255, 255, 255], np.uint8).reshape(4, 1, 1, 1)
        mean, std = input_statistics(images)
        self.assertEqual(mean[0], 0.75)
        np.testing.assert_allclose(std[0], np.sqrt(3) / 4, rtol=4e-16)
        constant = input_statistics(np.full((3, 2, 2, 2), 51, np.uint8))
        self.assertEqual([a.tolist() for a in constant], [[0.2, 0.2], [0.0, 0.0]])

    def test_numbers_by_their_last_axis(self):
        rng = np.random.default_rng(0)
        for shape in ((50, 3), (50, 4, 3)):
            numbers = (1e4 + rng.normal(size=shape) * [1, 10, 0]).astype(np.float32)
            with mock.patch.object(module, "_STATISTICS_CHUNK_BYTES", 100):
                mean, std = input_statistics(numbers)
            wide = numbers.astype(np.float64).reshape(-1, 3)
            np.testing.assert_allclose(mean, wide.mean(0), rtol=1e-13)
            np.testing.assert_allclose(std, wide.std(0), rtol=1e-10)

    def test_refuses_other_inputs(self):
        for inputs in (np.zeros((1, 2), np.float64), np.zeros((1, 2), np.int32), np.zeros(3, np.float32)):
            with self.assertRaisesRegex(ValueError, "expected non-empty uint8 or float32 of rank 2 or more"):
                input_statistics(inputs)


if __name__ == "__main__":
    unittest.main()
