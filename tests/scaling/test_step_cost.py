"""The cost of steps and runs, against numbers by hand, limits, and a replica-by-replica account."""

import dataclasses
import itertools
import unittest

import numpy as np

from tf_fullbatch.errors import UserError
from tf_fullbatch.scaling import all_reduce, failures
from tf_fullbatch.scaling.cluster import Cluster, parsed
from tf_fullbatch.scaling.step_cost import (
    Work,
    epoch_seconds,
    input_seconds,
    micro_batch_seconds,
    most_replicas,
    run_cost,
    sizes,
    step_cost,
)

EVEN = ",spread=0,overhead=1ms"


def work(**settings) -> Work:
    """1,000 samples in micro-batches of 100, all of one pass per step."""
    given = {
        "samples": 1000, "update_batch_size": 1000, "micro_batch_size": 100, "epochs": 3, "flops": 1e9,
        "reduced_bytes": 4e6, "checkpoint_bytes": 8e6,
    }  # fmt: skip
    return Work(**(given | settings))


def on(text: str) -> Cluster:
    return parsed(text)


class MicroBatchTest(unittest.TestCase):
    def test_is_flops_over_what_is_reached_of_the_peak(self):
        # 100 samples of 1 GFLOP at a quarter of 19.5 TFLOP/s, and at the device's own half.
        self.assertAlmostEqual(micro_batch_seconds(work(), parsed("1x1:a100", 0.25)), 1e11 / (19.5e12 / 4))
        self.assertAlmostEqual(micro_batch_seconds(work(), on("1x1:a100")), 1e11 / (19.5e12 / 2))
        fast = work(dtype_policy="mixed_bfloat16")
        self.assertAlmostEqual(micro_batch_seconds(fast, parsed("1x1:a100", 1.0)), 1e11 / 312e12)

    def test_is_what_was_measured(self):
        timed = work(micro_batch_seconds=0.25)
        self.assertEqual(micro_batch_seconds(timed, on("1x4:cpu")), 0.25)
        self.assertEqual(micro_batch_seconds(timed, on("1x4:cpu,micro_batch=2s")), 2.0)
        self.assertEqual(micro_batch_seconds(work(), on("1x4:h100,micro_batch=2s")), 2.0)

    def test_is_refused_where_nothing_says_it(self):
        for wanted, cluster, part in (
            (work(), on("1x4:cpu"), "no micro-batch was timed here; give its time"),
            (work(dtype_policy="mixed_bfloat16"), on("1x4:v100"), "accepted are float64, float32, tf32"),
            (work(flops=0.0), on("1x4:h100"), "no operations could be counted"),
        ):
            with self.subTest(part), self.assertRaises(UserError) as raised:
                micro_batch_seconds(wanted, cluster)
            self.assertIn(part, str(raised.exception))


class StepTest(unittest.TestCase):
    def test_one_device_computes(self):
        cost = step_cost(work(), on(f"1x1:h100,micro_batch=10ms{EVEN}"))
        self.assertAlmostEqual(cost.useful, 0.1)
        self.assertEqual((cost.idle, cost.stragglers, cost.all_reduce, cost.input), (0, 0, 0, 0))
        self.assertAlmostEqual(cost.seconds, 0.101)
        self.assertAlmostEqual(cost.efficiency, 0.1 / 0.101)

    def test_by_hand_on_four(self):
        # 10 micro-batches on 4 replicas: 3 rounds, of which 2.5 are full.
        cost = step_cost(work(), on(f"1x4:h100,micro_batch=10ms,inside=1GB,inside_latency=1ms{EVEN}"))
        self.assertAlmostEqual(cost.useful, 0.025)
        self.assertAlmostEqual(cost.idle, 0.005)
        self.assertAlmostEqual(cost.all_reduce, 2 * 3 * 4e6 / 1e9 + 2e-3)
        self.assertAlmostEqual(cost.seconds, 0.03 + 0.026 + 0.001)

    def test_two_passes_reduce_twice(self):
        cluster = on(f"4x1:h100,micro_batch=10ms{EVEN}")
        twice = step_cost(work(passes=2, reduced_bytes=8e6), cluster)
        self.assertAlmostEqual(twice.all_reduce, 2 * all_reduce.seconds(cluster, 4e6))

    def test_samples_are_waited_for_where_they_stream_too_slowly(self):
        # 1 GB per pass over two readers of 10 GB/s take 50 ms, beside 5 rounds of 1 ms.
        streaming = work(sample_bytes=1e6)
        cluster = on(f"2x1:h100,micro_batch=1ms,reader=10GB{EVEN}")
        found = step_cost(streaming, cluster)
        # Two ahead of each device, they come while the devices compute, sum and update.
        self.assertAlmostEqual(found.input, 0.05 - 0.005 - found.all_reduce - 0.001)
        self.assertAlmostEqual(found.seconds, 0.05)
        slow = dataclasses.replace(cluster, micro_batch=1.0)
        self.assertEqual(step_cost(streaming, slow).input, 0)
        resident = on(f"1x2:h100,micro_batch=1ms,reader=10GB{EVEN}")
        self.assertEqual(step_cost(streaming, resident).input, 0)
        streaming_here = dataclasses.replace(streaming, streams=True)
        self.assertAlmostEqual(step_cost(streaming_here, resident).seconds, 0.1)

    def test_samples_stay_where_all_take_a_quarter_of_a_device(self):
        # As `data.resident.fits` has it: a quarter of one device's 80 GB, however many devices share them.
        resident = on(f"1x2:h100,micro_batch=1ms,reader=10GB{EVEN}")
        self.assertEqual(step_cost(work(sample_bytes=2e7), resident).input, 0)
        self.assertGreater(step_cost(work(sample_bytes=2.1e7), resident).input, 0)
        self.assertEqual(step_cost(work(sample_bytes=2.1e7, copies=2), resident).input, 0)

    def test_images_in_their_files_are_decoded_meanwhile(self):
        # 500 images per node: 100 ms by 20 cores of 4 ms.
        in_files = work(decode_seconds=4e-3, in_files=True, sample_bytes=1e3)
        cluster = on(f"2x1:h100,micro_batch=1ms,cores=20,reader=inf{EVEN}")
        self.assertAlmostEqual(step_cost(in_files, cluster).seconds, 0.1)
        self.assertAlmostEqual(step_cost(in_files, dataclasses.replace(cluster, decode=8e-3)).seconds, 0.2)
        slow = dataclasses.replace(cluster, micro_batch=1.0)
        self.assertEqual(step_cost(in_files, slow).input, 0)
        twice = dataclasses.replace(in_files, passes=2, brought=2)
        self.assertAlmostEqual(step_cost(twice, cluster).seconds, 0.4)
        # A chunk is decoded, then copied.
        copied = dataclasses.replace(cluster, reader=1e7)
        self.assertAlmostEqual(step_cost(in_files, copied).seconds, 0.1 + 500 * 1e3 / 1e7)
        one_node = on(f"1x2:h100,micro_batch=1ms,cores=20,reader=inf{EVEN}")
        self.assertAlmostEqual(step_cost(in_files, one_node).seconds, 0.2)
        self.assertEqual(step_cost(in_files, dataclasses.replace(cluster, cores=None)).input, 0)

    def test_what_is_decoded_once_into_host_memory_is_not_decoded_again(self):
        cluster = on(f"2x1:h100,micro_batch=1ms,decode=100s,host_memory=100GB{EVEN}")
        for folder_bytes, decoded in ((50e9, False), (51e9, True)):
            one = work(decode_seconds=4e-3, folder_bytes=folder_bytes)
            self.assertEqual(step_cost(one, cluster).seconds > 1, decoded)
        loaded = work(decode_seconds=4e-3, folder_bytes=51e9, in_files=False)
        self.assertLess(step_cost(loaded, cluster).seconds, 1)

    def test_input_is_that_of_the_node_with_most_samples(self):
        for samples, nodes, devices in itertools.product((100, 730, 1000, 1900), (1, 2, 3), (1, 2, 4)):
            some = work(samples=samples, update_batch_size=samples, decode_seconds=1e-3, in_files=True)
            plan = some.plan(nodes * devices)
            most = max(
                sum(
                    len(plan.rows(0, replica, 0, plan.rounds(0)))
                    for replica in range(node * devices, (node + 1) * devices)
                )
                for node in range(nodes)
            )
            cluster = on(f"{nodes}x{devices}:h100,cores=1,reader=inf")
            with self.subTest(samples=samples, nodes=nodes, devices=devices):
                self.assertAlmostEqual(input_seconds(some, cluster), most * 1e-3)

    def test_a_smaller_last_step(self):
        # 1000 in steps of 300: 3, 3, 3 and 1 micro-batches.
        mini = work(update_batch_size=300)
        cluster = on(f"1x1:h100,micro_batch=10ms{EVEN}")
        self.assertAlmostEqual(step_cost(mini, cluster, 3).seconds, 0.011)
        self.assertAlmostEqual(epoch_seconds(mini, cluster), 3 * 0.031 + 0.011)

    def test_a_ragged_micro_batch_is_computed_in_its_share_of_the_time(self):
        ragged = work(samples=950, update_batch_size=950)
        one = step_cost(ragged, on(f"1x1:h100,micro_batch=10ms{EVEN}"))
        self.assertAlmostEqual(one.useful, 0.095)

    def test_agrees_with_an_account_of_every_replica(self):
        for samples in (100, 730, 1000, 1900):
            for replicas in (1, 2, 3, 7, 16, 32):
                some = work(samples=samples, update_batch_size=samples)
                plan = some.plan(replicas)
                most = max(
                    sum(len(plan.micro_batch(0, m)) > 0 for m in range(r, plan.micro_batches(0), replicas))
                    for r in range(replicas)
                )
                cost = step_cost(some, on(f"1x{replicas}:h100,micro_batch=10ms{EVEN}"))
                with self.subTest(samples=samples, replicas=replicas):
                    whole = samples / 100 / replicas
                    self.assertAlmostEqual(cost.useful, 0.01 * whole)
                    self.assertAlmostEqual(cost.useful + cost.idle, 0.01 * most)

    def test_fast_links_and_no_deviations_leave_rounds_alone(self):
        ideal = on(
            "8x8:h100,micro_batch=10ms,spread=0,overhead=.000001us,inside=inf,between=inf,latency=.000001us,"
            "inside_latency=.000001us"
        )
        self.assertAlmostEqual(step_cost(work(), ideal).seconds, 0.01, places=9)

    def test_more_devices_never_compute_longer_and_reduce_longer(self):
        large = work(samples=100_000, update_batch_size=100_000)
        costs = [step_cost(large, on(f"{nodes}x8:a100")) for nodes in (1, 2, 4, 8, 16, 64, 128)]
        for earlier, later in itertools.pairwise(costs[1:]):  # one node sums otherwise
            self.assertLessEqual(later.useful + later.idle, earlier.useful + earlier.idle)
            self.assertGreaterEqual(later.all_reduce, earlier.all_reduce)

    def test_a_slower_link_is_a_slower_step(self):
        times = [
            step_cost(work(), on(f"8x8:a100,between={rate}")).seconds
            for rate in ("1TB", "10GB", "1GB", "1Gbit")
        ]
        self.assertTrue(all(np.diff(times) > 0), times)


class MostReplicasTest(unittest.TestCase):
    def test_sizes_are_the_fewest_replicas_for_each_number_of_rounds(self):
        for micro_batches in (1, 10, 391, 1000):
            many = work(samples=100 * micro_batches, update_batch_size=100 * micro_batches)
            rounds = -(-micro_batches // np.arange(1, micro_batches + 1))
            fewest = sorted(int(np.argmax(rounds == value)) + 1 for value in np.unique(rounds))
            self.assertEqual(sizes(many, on(f"1x{micro_batches}:h100")), fewest)
            self.assertEqual(sizes(many, on("1x1:h100")), fewest)

    def test_sizes_are_whole_nodes(self):
        self.assertEqual(sizes(work(), on("1x4:h100")), [1, 2, 3, 4, 8, 12])
        self.assertEqual(sizes(work(), on("1x16:h100")), [1, 2, 3, 4, 5, 10])

    def test_of_many_micro_batches_are_few(self):
        many = work(samples=10**8, update_batch_size=10**8)
        self.assertLess(len(sizes(many, on("1x8:h100"))), 2001)

    def test_where_links_are_slow(self):
        slow = on(f"1x1:h100,micro_batch=10ms,between=1GB,latency=1us{EVEN}")
        # n workers: useful 100 / n ms, reduce 8 (n - 1) / n ms and 1 ms: half is kept up to 10.
        most = most_replicas(work(), slow, 0.5)
        shares = {n: step_cost(work(), slow.of(n)).efficiency for n in (1, 2, 3, 4, 5, 10)}
        self.assertEqual(most, max(n for n, share in shares.items() if share >= 0.5))
        self.assertEqual(most, 10)
        # 80 times as slow: two workers already wait 320 ms for 50 ms of computing.
        self.assertEqual(most_replicas(work(), dataclasses.replace(slow, between=1.25e7), 0.5), 1)


class RunTest(unittest.TestCase):
    def test_without_failures(self):
        saved = work(checkpoint_steps=2, checkpoint_seconds=None)
        cost = run_cost(saved, on(f"1x1:h100,micro_batch=10ms,mtbf=inf,disk=1GB{EVEN}"))
        self.assertAlmostEqual(cost.working, 3 * 0.101)
        self.assertAlmostEqual(cost.seconds, 3 * 0.101 + 1.5 * 0.008)
        self.assertEqual(cost.best, 3)

    def test_checkpoints_by_the_clock_come_after_whole_steps(self):
        for micro_batch, every in (("1s", 60), ("30s", 2), ("100s", 1)):
            cluster = on(f"1x1:h100,micro_batch={micro_batch}{EVEN}")
            self.assertEqual(run_cost(work(epochs=1000), cluster).every, every)

    def test_failures_of_all_nodes(self):
        cluster = on(f"4x1:h100,micro_batch=10s,mtbf=1h,restart=1m,disk=1MB{EVEN}")
        cost = run_cost(work(epochs=100, checkpoint_steps=5, checkpoint_seconds=None), cluster)
        step = cost.working / 100
        segment = failures.segment_seconds(5 * step + 8, 900, 60)
        self.assertAlmostEqual(cost.seconds, 20 * segment)
        self.assertLessEqual(cost.best_seconds, cost.seconds)

    def test_notice_loses_a_step_at_most(self):
        saved = work(epochs=1000, checkpoint_steps=200, checkpoint_seconds=None)
        without, noticed = (
            run_cost(saved, on(f"4x1:h100,micro_batch=1s,mtbf=1h,restart=1m{more}{EVEN}"))
            for more in ("", ",notice=2m")
        )
        self.assertLess(noticed.seconds, 0.75 * without.seconds)
        self.assertGreater(noticed.seconds, noticed.working * (1 + 60 / 900))


if __name__ == "__main__":
    unittest.main()
