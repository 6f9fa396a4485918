"""Exact pixel statistics."""

import unittest
from unittest import mock

import numpy as np

from tf_fullbatch.data import pixel_statistics as module
from tf_fullbatch.data.pixel_statistics import pixel_statistics


class PixelStatisticsTest(unittest.TestCase):
    def test_against_float64(self):
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (50, 7, 5, 3), dtype=np.uint8) // np.array([1, 2, 5], np.uint8)
        with mock.patch.object(
            module, "_STATISTICS_CHUNK_BYTES", 1000
        ):  # several chunks, the last one ragged
            mean, std = pixel_statistics(images)
        np.testing.assert_allclose(mean, (images / 255).mean((0, 1, 2)), rtol=1e-13)
        np.testing.assert_allclose(std, (images / 255).std((0, 1, 2)), rtol=1e-12)

    def test_exact(self):
        images = np.array([0, 255, 255, 255], np.uint8).reshape(4, 1, 1, 1)
        mean, std = pixel_statistics(images)
        self.assertEqual(mean[0], 0.75)
        np.testing.assert_allclose(std[0], np.sqrt(3) / 4, rtol=4e-16)
        constant = pixel_statistics(np.full((3, 2, 2, 2), 51, np.uint8))
        self.assertEqual([a.tolist() for a in constant], [[0.2, 0.2], [0.0, 0.0]])

    def test_refuses_floats(self):
        with self.assertRaisesRegex(ValueError, "uint8"):
            pixel_statistics(np.zeros((1, 2, 2, 1), np.float32))


if __name__ == "__main__":
    unittest.main()
