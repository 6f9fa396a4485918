"""Update batches: every sample once an epoch, the same micro-batches for any replicas and chunks."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_fullbatch.data.batches import CHUNK_BYTES, CHUNK_MICRO_BATCHES, BatchPlan, UpdateBatches

PLANS = st.builds(
    lambda samples, update, micro, replicas, chunk: BatchPlan(
        samples=samples,
        update_batch_size=min(update, samples),
        micro_batch_size=micro,
        replicas=replicas,
        chunk_micro_batches=chunk,
    ),
    st.integers(1, 60),
    st.integers(1, 70),
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(1, 5),
)


def micro_batches(plan: BatchPlan, step: int) -> dict[int, list[int]]:
    """Index -> positions, cut out of all chunks of a step as a replica does."""
    found = {}
    for round_ in range(plan.rounds(step)):
        for replica in range(plan.replicas):
            positions, first = plan.chunk(step, round_, replica)
            for i in range(0, len(positions), plan.micro_batch_size):
                index = first + i // plan.micro_batch_size * plan.replicas
                assert index % plan.replicas == replica
                assert index not in found
                found[index] = positions[i : i + plan.micro_batch_size].tolist()
    return found


class BatchPlanTest(tf.test.TestCase):
    @settings(deadline=None, max_examples=200)
    @given(plan=PLANS)
    def test_micro_batches_are_consecutive_and_do_not_depend_on_replicas_or_chunks(self, plan):
        seen = []
        for step in range(plan.steps_per_epoch):
            found = micro_batches(plan, step)
            self.assertEqual(sorted(found), list(range(plan.micro_batches(step))))
            in_order = [found[m] for m in range(len(found))]
            self.assertTrue(all(len(part) == plan.micro_batch_size for part in in_order[:-1]))
            self.assertEqual(sum(map(len, in_order)), plan.step_samples(step))
            seen += [position for part in in_order for position in part]
        self.assertEqual(seen, list(range(plan.samples)))

    @settings(deadline=None, max_examples=100)
    @given(plan=PLANS)
    def test_no_round_is_idle_on_every_replica(self, plan):
        for step in range(plan.steps_per_epoch):
            for round_ in range(plan.rounds(step)):
                self.assertGreater(len(plan.chunk(step, round_, 0)[0]), 0)
            self.assertEqual(len(plan.chunk(step, plan.rounds(step), 0)[0]), 0)

    def test_partial_last_step(self):
        plan = BatchPlan(samples=23, update_batch_size=10, micro_batch_size=4)
        self.assertEqual([plan.step_samples(s) for s in range(plan.steps_per_epoch)], [10, 10, 3])
        self.assertEqual([plan.micro_batches(s) for s in range(3)], [3, 3, 1])

    def test_wrong_sizes_are_refused(self):
        with self.assertRaisesRegex(ValueError, "update batch of 11 samples does not fit a data set of 10"):
            BatchPlan(samples=10, update_batch_size=11, micro_batch_size=2)
        for name in ("samples", "update_batch_size", "micro_batch_size", "replicas", "chunk_micro_batches"):
            sizes = {"samples": 10, "update_batch_size": 5, "micro_batch_size": 2} | {name: 0}
            with self.assertRaisesRegex(ValueError, f"{name} must be at least 1, but it is 0"):
                BatchPlan(**sizes)


def batches(samples=23, **settings):
    """Inputs whose rows carry their own number."""
    rows = np.arange(samples)
    inputs = np.stack([rows, rows**2], axis=1).astype("float32")
    return UpdateBatches(inputs, rows.astype("int32"), **settings)


def elements(data, replicas=1, **arguments):
    plan = data.plan(replicas)
    return list(data.dataset(plan=plan, replicas=range(replicas), **arguments).as_numpy_iterator())


class UpdateBatchesTest(tf.test.TestCase):
    @settings(deadline=None, max_examples=15)
    @given(
        samples=st.integers(1, 30),
        update=st.integers(1, 30),
        micro=st.integers(1, 12),
        replicas=st.integers(1, 3),
        chunk=st.none() | st.integers(1, 4),
        shuffle=st.booleans(),
    )
    def test_every_sample_comes_once_an_epoch_with_its_target_and_id(
        self, samples, update, micro, replicas, chunk, shuffle
    ):
        data = batches(
            samples,
            batch_size=min(update, samples),
            micro_batch_size=micro,
            shuffle=shuffle,
            chunk_micro_batches=chunk,
        )
        found = []
        for inputs, targets, ids, _ in elements(data, replicas, first_epoch=4, epochs=1):
            self.assertAllEqual(inputs, np.stack([ids, ids**2], axis=1))
            self.assertAllEqual(targets, ids)
            found += ids.tolist()
        self.assertEqual(sorted(found), list(range(samples)))

    def test_element_spec_describes_the_elements(self):
        data = batches(micro_batch_size=4, chunk_micro_batches=2)
        for element in elements(data, 3, epochs=1):
            for part, spec in zip(element, data.element_spec, strict=True):
                self.assertTrue(spec.is_compatible_with(tf.constant(part)))

    def test_a_replica_with_nothing_to_do_gets_empty_chunks(self):
        sizes = [len(e[0]) for e in elements(batches(5, micro_batch_size=4), 3, epochs=1)]
        self.assertEqual(sizes, [4, 1, 0])

    def test_repeats_bring_each_step_twice_before_the_next(self):
        data = batches(10, batch_size=5, micro_batch_size=5)
        first = [e[2].tolist() for e in elements(data, epochs=1, repeats=2)]
        self.assertEqual(first, [[0, 1, 2, 3, 4]] * 2 + [[5, 6, 7, 8, 9]] * 2)

    def test_own_sample_ids_travel_with_their_rows(self):
        data = batches(6, sample_ids=np.array([60, 61, 64, 67, 68, 69]), shuffle=True)
        ((_, targets, ids, _),) = elements(data, epochs=1)
        self.assertAllEqual(ids, np.array([60, 61, 64, 67, 68, 69])[targets])

    def test_default_chunks_are_bounded_in_micro_batches_and_in_bytes(self):
        device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        small = batches(23, micro_batch_size=4).plan(replicas=2)
        self.assertEqual(small.chunk_micro_batches, CHUNK_MICRO_BATCHES[device])
        large = np.broadcast_to(np.zeros((), np.uint8), (400, 512, 512, 3))
        plan = UpdateBatches(large, np.zeros(400), micro_batch_size=50).plan(replicas=1)
        self.assertEqual(plan.chunk_micro_batches, CHUNK_BYTES // (50 * 512 * 512 * 3))
        self.assertEqual(plan.chunk_micro_batches, 1)

    def test_a_micro_batch_is_no_larger_than_the_data(self):
        self.assertEqual(batches(23).micro_batch_size, 23)

    def test_wrong_data_are_refused(self):
        with self.assertRaisesRegex(ValueError, "3 inputs and 2 targets"):
            UpdateBatches(np.zeros((3, 1)), np.zeros(2))
        with self.assertRaisesRegex(ValueError, "0 inputs and 0 targets"):
            UpdateBatches(np.zeros((0, 1)), np.zeros(0))
        with self.assertRaisesRegex(ValueError, "sample_ids must be one number a sample, 3 in all"):
            UpdateBatches(np.zeros((3, 1)), np.zeros(3), sample_ids=np.arange(2))
        with self.assertRaisesRegex(ValueError, "update batch of 4 samples"):
            UpdateBatches(np.zeros((3, 1)), np.zeros(3), batch_size=4)


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

    def test_without_shuffle_the_order_is_fixed(self):
        self.assertIsNone(batches().order(3))

    def test_the_data_set_follows_the_order_of_each_epoch(self):
        data = batches(20, batch_size=8, micro_batch_size=3, shuffle=True, seed=5)
        found = np.concatenate([e[2] for e in elements(data, first_epoch=2, epochs=2)])
        self.assertAllEqual(found, np.concatenate([data.order(2), data.order(3)]))

    def test_a_run_that_starts_later_continues_the_same_sequence(self):
        data = batches(20, batch_size=8, micro_batch_size=3, shuffle=True)
        whole = [e[2].tolist() for e in elements(data, epochs=3)]
        later = [e[2].tolist() for e in elements(data, first_epoch=1, epochs=2)]
        self.assertEqual(whole[len(whole) // 3 :], later)


class DistributedTest(tf.test.TestCase):
    def test_the_default_strategy_gets_every_chunk(self):
        data = batches(10, micro_batch_size=4, chunk_micro_batches=1)
        chunks = [e[2].numpy().tolist() for e in data.distributed(tf.distribute.get_strategy(), epochs=1)]
        self.assertEqual(chunks, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])

    def test_from_the_start_again_and_again(self):
        data = batches(10, micro_batch_size=4, chunk_micro_batches=1)
        once = data.from_the_start(tf.distribute.get_strategy())
        self.assertIs(once, data.from_the_start(tf.distribute.get_strategy()))
        for _ in range(2):
            chunks = iter(once)
            found = [next(chunks)[2].numpy().tolist() for _ in range(4)]
            self.assertEqual([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [0, 1, 2, 3]], found)

    def test_endless_data_need_no_agreement_on_their_end(self):
        # Workers of a cluster would all-reduce, at every chunk, whether each has one more.
        strategy = tf.distribute.get_strategy()
        chunks = batches(10).distributed(strategy)
        self.assertEqual(tf.data.INFINITE_CARDINALITY, tf.data.experimental.cardinality(chunks).numpy())


if __name__ == "__main__":
    tf.test.main()
