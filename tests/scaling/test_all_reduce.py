"""What sums over replicas take, against numbers by hand."""

import math
import unittest

from tf_fullbatch.scaling.all_reduce import Link, flat_ring_seconds, ring, seconds, star, tree
from tf_fullbatch.scaling.cluster import parsed

LINK = Link(bandwidth=100.0, latency=0.5)


class PatternsTest(unittest.TestCase):
    def test_by_hand(self):
        # 4 members, 1000 bytes at 100 bytes/s: 1.5 * 10 s and 6 messages; 20 s and 2 * 2; 60 s and 2.
        self.assertAlmostEqual(ring(4, 1000, LINK), 15 + 3)
        self.assertAlmostEqual(tree(4, 1000, LINK), 20 + 2)
        self.assertAlmostEqual(star(4, 1000, LINK), 60 + 1)

    def test_of_a_ring_counted_message_by_message(self):
        # Each of 2 (n - 1) rounds sends one of n pieces along every line at once; on a shared medium one by one.
        for members in (2, 3, 5, 8):
            piece = 1000 / members
            rounds = [piece / 100 + 0.5] * (members - 1) * 2
            self.assertAlmostEqual(ring(members, 1000, LINK), sum(rounds))
            shared = [members * piece / 100 + 0.5] * (members - 1) * 2
            self.assertAlmostEqual(ring(members, 1000, LINK._replace(shared=True)), sum(shared))

    def test_one_member_has_nothing_to_sum(self):
        for pattern in (ring, tree, star):
            self.assertEqual(pattern(1, 1e9, LINK), 0)

    def test_infinite_bandwidth_leaves_latencies(self):
        link = Link(math.inf, 0.5)
        self.assertEqual((ring(8, 1e9, link), tree(8, 1e9, link), star(8, 1e9, link)), (7.0, 3.0, 1.0))

    def test_a_ring_moves_least_and_a_tree_waits_least(self):
        wide, near = Link(math.inf, 1.0), Link(1.0, 0.0)
        for members in range(4, 40):
            self.assertLess(ring(members, 1, near), min(tree(members, 1, near), star(members, 1, near)))
            self.assertLess(tree(members, 1, wide), ring(members, 1, wide))


class SecondsTest(unittest.TestCase):
    def test_one_node_sums_on_one_device(self):
        self.assertEqual(seconds(parsed("1x1:h100"), 1e9), 0)
        cluster = parsed("1x4:h100,inside=1GB,inside_latency=1ms")
        self.assertAlmostEqual(seconds(cluster, 1e9), 2 * 3 * 1 + 2e-3)

    def test_levels_add_up(self):
        cluster = parsed(
            "2x4x8:h100,inside=10GB,inside_latency=1us,between=5GB,latency=1us,wan=1GB,wan_latency=1ms"
        )
        rings = 2 * 7 / 8 * 0.1 + 14e-6 + 2 * 3 / 4 * 0.2 + 6e-6 + 2 / 2 * 1 + 2e-3
        self.assertAlmostEqual(seconds(cluster, 1e9), rings, places=9)

    def test_short_vectors_go_by_trees(self):
        cluster = parsed("64x1:h100,latency=1ms")
        self.assertAlmostEqual(seconds(cluster, 8), 12e-3, places=6)

    def test_one_ring_waits_for_the_slowest_line_in_every_round(self):
        cluster = parsed("2x32x1:h100,between=100Gbit,latency=20us,wan=1Gbit,wan_latency=50ms")
        flat = flat_ring_seconds(cluster, 1e8)
        self.assertAlmostEqual(flat, 2 * 63 / 64 * 0.8 + 126 * 0.05)
        self.assertLess(seconds(cluster, 1e8), flat / 7)

    def test_never_falls_with_members_or_bytes(self):
        for size in (1e3, 1e8):
            times = [seconds(parsed(f"{nodes}x8:a100"), size) for nodes in (2, 3, 4, 8, 16, 64, 512)]
            self.assertEqual(times, sorted(times))
        sizes = [seconds(parsed("8x8:a100"), 10.0**power) for power in range(10)]
        self.assertEqual(sizes, sorted(sizes))


if __name__ == "__main__":
    unittest.main()
