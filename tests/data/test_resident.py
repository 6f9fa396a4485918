"""Samples on the devices give micro-batch by micro-batch what the plan says and what streams."""

import unittest.mock
from typing import Any

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.numbered import CUTS, Replicas, batches
from tf_fullbatch.core.micro_batch import MicroBatch
from tf_fullbatch.core.passes import Feed, Place
from tf_fullbatch.data import pace, resident
from tf_fullbatch.data.batches import UpdateBatches, partners_of
from tf_fullbatch.data.resident import HeldSamples, ResidentSource, fits
from tf_fullbatch.data.shares import MEMORY_SHARE
from tf_fullbatch.data.stream import StreamSource


def as_arrays(batch: MicroBatch) -> tuple:
    assert batch.weights is None
    own = batch.inputs.numpy().tolist(), batch.targets.numpy().tolist(), *of_ids(batch)
    return own if batch.partners is None else (*own, *(part.numpy().tolist() for part in batch.partners))


def of_ids(batch: MicroBatch) -> tuple[list, int]:
    assert batch.sample_ids.dtype == batch.index.dtype == tf.int64
    return batch.sample_ids.numpy().tolist(), int(batch.index)


def fetched(feed: Feed, held: Any, place: Place, epoch: int, replica: int) -> list:
    """What a replica gets in one call."""
    with unittest.mock.patch.object(resident, "_replica", return_value=replica):
        fetch, begin, end = feed.micro_batches(held, place, tf.constant(epoch, tf.int64))
    return [as_arrays(fetch(tf.constant(i))) for i in range(int(begin), int(end))]


def resident_micro_batches(source: ResidentSource, epoch: int, step: int) -> list[list]:
    """Of each replica, over all calls of a pass."""
    found: list[list] = [[] for _ in range(source.plan.replicas)]
    for held, place in source.calls(epoch, step):
        of_each = held if source.plan.replicas > 1 else [held]
        for replica, own in enumerate(of_each):
            found[replica] += fetched(source.feed, own, place, epoch, replica)
    return found


def streamed_micro_batches(source: StreamSource, epoch: int) -> list[list[list]]:
    """Of each step of an epoch and replica."""
    plan = source.plan
    chunks = source.dataset(range(plan.replicas), epoch).as_numpy_iterator()
    found: list[list[list]] = []
    for step in range(plan.steps_per_epoch):
        found.append([[] for _ in range(plan.replicas)])
        for begin in range(0, plan.rounds(step), source.chunk):
            place = Place(*(tf.constant(n) for n in (step, begin, begin + source.chunk)))
            for replica in range(plan.replicas):
                chunk = tf.nest.map_structure(tf.constant, next(chunks))
                found[step][replica] += fetched(source.feed, chunk, place, epoch, replica)
    return found


def planned_micro_batches(
    data: UpdateBatches, micro_batch_size: int, replicas: int, epoch: int, step: int
) -> list[list]:
    """Of each replica, by indexing the arrays."""
    plan, order = data.plan(micro_batch_size, replicas), data.order(epoch)
    arrays = [np.concatenate([array] * data.copies) for array in (data.inputs, data.targets)]
    arrays.append(np.concatenate([data.sample_ids + 2**40 * copy for copy in range(data.copies)]))
    found: list[list] = [[] for _ in range(replicas)]
    for index in range(plan.micro_batches(step)):
        rows = plan.micro_batch(step, index)
        rows = rows if order is None else order[rows]
        own = (*(a[rows].tolist() for a in arrays), index)
        if data.mixes:
            last = len(data) - 1
            whom = partners_of(tf.constant(rows), data.seed % 2**31, epoch, last).numpy()
            own = (*own, *(a[whom].tolist() for a in arrays))
        found[index % replicas].append(own)
    return found


class MicroBatchesTest(tf.test.TestCase):
    @settings(deadline=None, max_examples=30)
    @given(
        **CUTS,
        epoch=st.integers(0, 10**6),
        seed=st.integers(0, 2**40),
        copies=st.integers(1, 3),
        mixes=st.booleans(),
    )
    def test_are_those_of_the_plan_and_of_the_stream(
        self, samples, update, micro, replicas, chunk, shuffle, epoch, seed, copies, mixes
    ):
        data = batches(
            samples,
            copies=copies,
            mixes=mixes,
            batch_size=min(update, samples * copies),
            shuffle=shuffle,
            seed=seed,
            chunk_micro_batches=chunk,
            sample_ids=1000 + 7 * np.arange(samples),
        )
        strategy = Replicas(replicas)
        source, streamed = ResidentSource(data, micro, strategy), StreamSource(data, micro, strategy)
        of_stream = streamed_micro_batches(streamed, epoch)
        for step in range(source.plan.steps_per_epoch):
            expected = planned_micro_batches(data, micro, replicas, epoch, step)
            self.assertEqual(resident_micro_batches(source, epoch, step), expected)
            self.assertEqual(of_stream[step], expected)

    def test_a_replica_holds_its_own_rows_only(self):
        data = batches(23, batch_size=10)
        held = ResidentSource(data, 4, Replicas(2)).held
        self.assertAllEqual(held[0].rows.sample_ids, [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 18, 19, 20, 21, 22])
        self.assertAllEqual(held[1].rows.sample_ids, [4, 5, 6, 7, 14, 15, 16, 17])
        self.assertEqual([int(h.numbers[2]) for h in held], [6, 4])

    def test_a_replica_with_nothing_to_do_holds_nothing(self):
        held = ResidentSource(batches(5), 4, Replicas(3)).held
        self.assertEqual([len(h.rows.sample_ids) for h in held], [4, 1, 0])

    def test_in_a_new_order_each_epoch_every_replica_holds_all(self):
        data = batches(5, shuffle=True)
        for held in ResidentSource(data, 2, Replicas(3)).held:
            self.assertAllEqual(held.rows.sample_ids, range(5))

    def test_dtypes_and_further_axes_are_those_of_the_arrays(self):
        images = np.arange(6 * 2 * 2 * 3, dtype=np.uint8).reshape(6, 2, 2, 3)
        targets = np.arange(12).reshape(6, 2)
        source = ResidentSource(UpdateBatches(images, targets), 4, Replicas(1))
        ((inputs, labels, _, _), (rest, _, _, _)) = resident_micro_batches(source, 0, 0)[0]
        self.assertAllEqual(inputs, images[:4])
        self.assertAllEqual(labels, targets[:4])
        self.assertAllEqual(rest, images[4:])
        self.assertEqual(
            (source.held.rows.inputs.dtype, source.held.rows.targets.dtype), (tf.uint8, tf.int64)
        )

    def test_in_a_graph_the_shapes_are_known_but_for_the_samples(self):
        source = ResidentSource(batches(23, shuffle=True), 4, Replicas(1))

        @tf.function
        def last(held: HeldSamples, place: Place) -> list:
            fetch, _, end = source.feed.micro_batches(held, place, tf.constant(3, tf.int64))
            batch = fetch(end - 1)
            self.assertEqual(batch.inputs.shape.as_list(), [None, 2])
            return [batch.inputs, batch.targets, batch.sample_ids, batch.index]

        place = Place(*(tf.constant(n) for n in (0, 0, 6)))
        inputs, targets, ids, index = last(source.held, place)
        self.assertEqual(int(index), 5)
        self.assertAllEqual(ids, source.batches.order(3)[20:])
        self.assertAllEqual(targets, ids)
        self.assertAllEqual(inputs[:, 0], ids)


class CallsTest(tf.test.TestCase):
    def places(self, source: ResidentSource, step: int = 0) -> list[tuple[int, ...]]:
        return [tuple(int(n) for n in place) for _, place in source.calls(0, step)]

    def test_go_over_each_round_once(self):
        source = ResidentSource(batches(20, chunk_micro_batches=3), 2, Replicas(1))
        for _ in range(3):
            places = self.places(source)
            self.assertEqual([begin for _, begin, _ in places], [0, *(end for _, _, end in places[:-1])])
            self.assertEqual(places[-1][-1], 10)
            self.assertLessEqual(max(end - begin for _, begin, end in places), 3)

    def test_become_longer_where_rounds_are_short(self):
        source = ResidentSource(batches(30), 1, Replicas(1))
        with unittest.mock.patch.object(pace.time, "perf_counter", return_value=0.0):
            self.assertEqual(self.places(source), [(0, 0, 1), (0, 1, 2), (0, 2, 10), (0, 10, 30)])

    def test_say_which_step(self):
        source = ResidentSource(batches(10, batch_size=6), 6, Replicas(1))
        self.assertEqual([self.places(source, step) for step in (0, 1)], [[(0, 0, 1)], [(1, 0, 1)]])


class FitsTest(tf.test.TestCase):
    def test_up_to_a_share_of_the_devices_memory(self):
        data = batches(10)
        for memory, expected in ((data.nbytes / MEMORY_SHARE, True), (data.nbytes / MEMORY_SHARE - 4, False)):
            with unittest.mock.patch.object(resident, "device_memory", return_value=memory):
                self.assertEqual(fits(data), expected)

    def test_the_user_has_the_last_word(self):
        for wish in (True, False):
            with unittest.mock.patch.object(
                resident, "device_memory", lambda wish=wish: 0 if wish else 2**60
            ):
                self.assertEqual(fits(batches(10, on_device=wish)), wish)

    def test_there_is_memory(self):
        self.assertGreater(resident.device_memory(), 2**20)


if __name__ == "__main__":
    tf.test.main()
