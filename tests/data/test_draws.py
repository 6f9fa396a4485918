"""Draws by a hash are SplitMix64's, functions of (seed, purpose, id, number) alone, and uniform."""

import unittest
import zlib

import numpy as np

from tf_fullbatch.data.draws import drawn_bits, mixed, uniforms

_ALL = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def split_mix(state: int, count: int) -> list[int]:
    """SplitMix64 as published, by Python's integers."""
    found = []
    for _ in range(count):
        state = (state + _GOLDEN) & _ALL
        found.append(mix(state))
    return found


def mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _ALL
    return z ^ (z >> 31)


class DrawsTest(unittest.TestCase):
    def test_published_outputs(self):
        # The first outputs of the reference code (Vigna, splitmix64.c) for the seed 1234567.
        known = [6457827717110365317, 3203168211198807973, 9817491932198370423]
        self.assertEqual(split_mix(1234567, 3), known)
        states = np.array([1234567 + (i + 1) * _GOLDEN & _ALL for i in range(3)], np.uint64)
        self.assertEqual(mixed(states).tolist(), known)

    def test_against_integers(self):
        ids = np.array([0, 5, 2**40], np.int64)
        found = drawn_bits(7, "noise", ids, 3)
        purpose = zlib.crc32(b"noise") * _GOLDEN
        key = mix((mix((7 * _GOLDEN + _GOLDEN) & _ALL) + purpose) & _ALL)
        for row, sample in zip(found.tolist(), ids.tolist(), strict=True):
            state = mix(mix((key + (sample + 1) * _GOLDEN) & _ALL))
            self.assertEqual(row, split_mix(state, 3))

    def test_order_and_company_change_nothing(self):
        ids = np.arange(200)
        whole = drawn_bits(3, "noise", ids, 4)
        some = np.array([17, 3, 150])
        np.testing.assert_array_equal(drawn_bits(3, "noise", some, 4), whole[some])
        np.testing.assert_array_equal(drawn_bits(3, "noise", ids, 2), whole[:, :2])

    def test_uniform_and_uncorrelated(self):
        ids = np.arange(40_000)
        columns = [
            uniforms(drawn_bits(seed, purpose, ids, 2))
            for seed in (0, 1)
            for purpose in ("label_noise", "duplicate")
        ]
        drawn = np.concatenate(columns, axis=1)
        self.assertTrue(((drawn >= 0) & (drawn < 1)).all())
        counts = np.array([np.histogram(column, 20, (0, 1))[0] for column in drawn.T])
        squares = ((counts - 2000) ** 2 / 2000).sum(axis=1)
        self.assertLess(squares.max(), 43.8)  # chi squared of 19 degrees: 0.999
        between = np.corrcoef(drawn.T) - np.eye(8)
        self.assertLess(np.abs(between).max(), 4.5 / np.sqrt(len(ids)))


if __name__ == "__main__":
    unittest.main()
