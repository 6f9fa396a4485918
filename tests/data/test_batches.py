"""Samples in host memory: their sizes, their orders, their rows."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.numbered import batches
from tf_fullbatch.data.batches import UpdateBatches, shuffled


class UpdateBatchesTest(tf.test.TestCase):
    def test_sizes(self):
        data = batches(23, batch_size=10)
        self.assertLen(data, 23)
        self.assertEqual(data.nbytes, 23 * (2 * 4 + 4 + 8))
        self.assertEqual(batches(23).batch_size, 23)
        self.assertEqual((data.steps_per_epoch, batches(23).steps_per_epoch), (3, 1))
        plan = data.plan(4, replicas=3)
        self.assertEqual((plan.samples, plan.update_batch_size), (23, 10))
        self.assertEqual((plan.micro_batch_size, plan.replicas), (4, 3))

    def test_rows_of_a_run_are_a_view_and_others_a_copy(self):
        data = batches(10)
        for rows, shares in (([3, 4, 5], True), ([3, 5, 6], False), ([0, 3, 1, 3], False), ([], False)):
            inputs, targets, ids, *_ = data.select_rows(np.array(rows, np.int64))
            self.assertAllEqual(inputs, data.inputs[rows])
            self.assertAllEqual(targets, rows)
            self.assertAllEqual(ids, rows)
            self.assertEqual(np.shares_memory(inputs, data.inputs), shares)

    def test_rows_of_a_shuffled_set_may_come_in_any_order(self):
        # 5 - 3 = 2, as of a run, but they are none.
        inputs, targets, ids, *_ = batches(10, shuffle=True).select_rows(np.array([3, 9, 5]))
        self.assertAllEqual(targets, [3, 9, 5])
        self.assertAllEqual(ids, [3, 9, 5])
        self.assertAllEqual(inputs[:, 0], [3, 9, 5])

    def test_wrong_data_are_refused(self):
        with self.assertRaisesRegex(ValueError, "3 inputs and 2 targets"):
            UpdateBatches(np.zeros((3, 1)), np.zeros(2))
        with self.assertRaisesRegex(ValueError, "0 inputs and 0 targets"):
            UpdateBatches(np.zeros((0, 1)), np.zeros(0))
        with self.assertRaisesRegex(ValueError, "sample_ids must be one number per sample, 3 in all"):
            UpdateBatches(np.zeros((3, 1)), np.zeros(3), sample_ids=np.arange(2))
        with self.assertRaisesRegex(ValueError, "update batch of 4 samples"):
            UpdateBatches(np.zeros((3, 1)), np.zeros(3), batch_size=4)
        with self.assertRaisesRegex(ValueError, "y is missing"):
            UpdateBatches(np.zeros((3, 1)), None)
        with self.assertRaisesRegex(ValueError, "chunk_micro_batches must be at least 1 and .*, but it is 0"):
            UpdateBatches(np.zeros((3, 1)), np.zeros(3), chunk_micro_batches=0)


class OrderTest(tf.test.TestCase):
    @settings(deadline=None, max_examples=50)
    @given(samples=st.integers(1, 300), seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 10_000))
    def test_is_a_permutation_and_a_function_of_seed_and_epoch(self, samples, seed, epoch):
        order = batches(samples, shuffle=True, seed=seed).order(epoch)
        self.assertEqual(sorted(order.tolist()), list(range(samples)))
        self.assertAllEqual(order, batches(samples, shuffle=True, seed=seed).order(epoch))

    def test_orders_of_epochs_and_seeds_are_unrelated(self):
        # The correlation of two independent permutations of n has standard deviation 1 / sqrt(n - 1).
        n = 2000
        orders = [np.arange(n)]
        for seed in (0, 1):
            orders += [batches(n, shuffle=True, seed=seed).order(epoch) for epoch in range(4)]
        for i, x in enumerate(orders):
            for y in orders[:i]:
                self.assertLess(abs(np.corrcoef(x, y)[0, 1]), 5 / np.sqrt(n - 1))
                self.assertLess(np.sum(x == y), 12)

    def test_no_order_comes_back(self):
        orders = {
            (seed, epoch): batches(1000, shuffle=True, seed=seed).order(epoch).tobytes()
            for seed in (0, 256, 2**16)
            for epoch in (*range(300), 2**16, 2**24)
        }
        self.assertEqual(len(set(orders.values())), len(orders))

    def test_orders_of_small_sets_are_uniform(self):
        """Of a uniform permutation the samples that stay, and those in pairs exchanged, are one on average each."""
        epochs = 500
        for n in (36, 128, 1000):
            last = tf.constant(n - 1, tf.int64)
            orders = tf.map_fn(
                lambda epoch, last=last: shuffled(tf.range(last + 1), 3, epoch, last),
                tf.range(epochs, dtype=tf.int64),
            ).numpy()
            stay = orders == np.arange(n)
            exchanged = (np.take_along_axis(orders, orders, axis=1) == np.arange(n)) & ~stay
            for count, variance in ((stay.sum(axis=1), 1), (exchanged.sum(axis=1), 2)):
                with self.subTest(samples=n, variance=variance):
                    self.assertLess(abs(count.mean() - 1), 4 * np.sqrt(variance / epochs))
                    self.assertLess(count.max(), 15)

    def test_without_shuffle_the_order_is_fixed(self):
        self.assertIsNone(batches().order(3))

    def test_positions_are_mapped_one_by_one_as_all_at_once(self):
        order = batches(50, shuffle=True, seed=7).order(3)
        some = tf.constant([0, 49, 20, 21], tf.int64)
        self.assertAllEqual(shuffled(some, 7, 3, tf.constant(49, tf.int64)), order[some.numpy()])


if __name__ == "__main__":
    tf.test.main()
