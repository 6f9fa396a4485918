"""Samples that stream: every sample once per epoch, in the chunks of the plan, from any place."""

from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.numbered import CUTS, Replicas, batches
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.pace import Pace
from tf_fullbatch.data.stream import CHUNK_BYTES, CHUNK_MICRO_BATCHES, StreamSource


def elements(
    data: UpdateBatches,
    micro_batch_size: int = 128,
    replicas: int = 1,
    epochs: int = 1,
    repeats: int = 1,
    first_epoch: int = 0,
) -> list[tuple[np.ndarray, ...]]:
    """Some epochs' chunks of all replicas."""
    source = StreamSource(data, micro_batch_size, Replicas(replicas), repeats)
    calls = [-(-source.plan.rounds(step) // source.chunk) for step in range(source.plan.steps_per_epoch)]
    count = epochs * replicas * repeats * sum(calls)
    dataset = source.dataset(range(replicas), first_epoch)
    return list(dataset.take(count).as_numpy_iterator())


class ChunksTest(tf.test.TestCase):
    @settings(deadline=None, max_examples=15)
    @given(**CUTS)
    def test_every_sample_comes_once_an_epoch_with_its_target_and_id(
        self, samples, update, micro, replicas, chunk, shuffle
    ):
        data = batches(
            samples,
            batch_size=min(update, samples),
            shuffle=shuffle,
            chunk_micro_batches=chunk,
        )
        found = []
        for inputs, targets, ids, _, _, _ in elements(data, micro, replicas, first_epoch=4):
            self.assertAllEqual(inputs, np.stack([ids, ids**2], axis=1))
            self.assertAllEqual(targets, ids)
            found += ids.tolist()
        self.assertEqual(sorted(found), list(range(samples)))

    def test_element_spec_describes_the_elements(self):
        data = batches(chunk_micro_batches=2)
        specs = (*data.element_spec, tf.TensorSpec([], tf.int64))
        found = elements(data, 4, 3)
        self.assertLen(found, 3)
        for element in found:
            tf.nest.assert_same_structure(element, specs)
            for part, spec in zip(tf.nest.flatten(element), tf.nest.flatten(specs), strict=True):
                self.assertTrue(spec.is_compatible_with(tf.constant(part)))

    def test_a_replica_with_nothing_to_do_gets_empty_chunks(self):
        sizes = [len(e[0]) for e in elements(batches(5), 4, 3)]
        self.assertEqual(sizes, [4, 1, 0])

    def test_repeats_bring_each_step_twice_before_the_next(self):
        data = batches(10, batch_size=5)
        first = [e[2].tolist() for e in elements(data, 5, repeats=2)]
        self.assertEqual(first, [[0, 1, 2, 3, 4]] * 2 + [[5, 6, 7, 8, 9]] * 2)

    def test_own_sample_ids_travel_with_their_rows(self):
        data = batches(6, sample_ids=np.array([60, 61, 64, 67, 68, 69]), shuffle=True)
        ((_, targets, ids, _, _, _),) = elements(data)
        self.assertAllEqual(ids, np.array([60, 61, 64, 67, 68, 69])[targets])

    def test_default_chunks_are_bounded_in_micro_batches_and_in_bytes(self):
        device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        small = StreamSource(batches(23), 4, Replicas(2))
        self.assertEqual(small.chunk, CHUNK_MICRO_BATCHES[device])
        large = np.broadcast_to(np.zeros((), np.uint8), (400, 512, 512, 3))
        source = StreamSource(UpdateBatches(large, np.zeros(400)), 50, Replicas(1))
        self.assertEqual(source.chunk, CHUNK_BYTES // (50 * 512 * 512 * 3))
        self.assertEqual(source.chunk, 1)

    def test_a_chunk_is_gone_over_in_calls_as_long_as_the_pace_says(self):
        source = StreamSource(batches(23), 2, tf.distribute.get_strategy())
        source.chunk = 4
        with mock.patch.object(Pace, "rounds", 3):
            calls = list(source.calls(0, 0))
        places = [(int(place.begin), int(place.end)) for _, place in calls]
        self.assertEqual(places, [(0, 3), (3, 4), (4, 7), (7, 8), (8, 11), (11, 12)])
        ids = []
        for held, place in calls:
            fetch, begin, end = source.feed.micro_batches(held, place, tf.constant(0, tf.int64))
            ids += [fetch(tf.constant(i)).sample_ids.numpy().tolist() for i in range(int(begin), int(end))]
        self.assertEqual(ids, [list(range(i, min(i + 2, 23))) for i in range(0, 23, 2)])

    def test_a_micro_batch_larger_than_the_data_holds_them_all(self):
        ((_, _, ids, _, _, first),) = elements(batches(23))
        self.assertAllEqual(ids, range(23))
        self.assertEqual(first, 0)

    def test_the_data_set_follows_the_order_of_each_epoch(self):
        data = batches(20, batch_size=8, shuffle=True, seed=5)
        found = np.concatenate([e[2] for e in elements(data, 3, first_epoch=2, epochs=2)])
        self.assertAllEqual(found, np.concatenate([data.order(2), data.order(3)]))

    def test_a_run_that_starts_later_continues_the_same_sequence(self):
        data = batches(20, batch_size=8, shuffle=True)
        whole = [e[2].tolist() for e in elements(data, 3, epochs=3)]
        later = [e[2].tolist() for e in elements(data, 3, first_epoch=1, epochs=2)]
        self.assertEqual(whole[len(whole) // 3 :], later)


class CallsTest(tf.test.TestCase):
    def source(self, samples: int = 10, repeats: int = 1, **settings: Any) -> StreamSource:
        data = batches(samples, **{"chunk_micro_batches": 1, **settings})
        source = StreamSource(data, 4, tf.distribute.get_strategy(), repeats)
        opened = self.opened = []
        distributed = source.distributed

        def counted(*place: int) -> tf.distribute.DistributedDataset:
            opened.append(place)
            return distributed(*place)

        source.distributed = counted
        return source

    def ids(self, source: StreamSource, epoch: int, step: int) -> list[list[int]]:
        return [held[2].numpy().tolist() for held, _ in source.calls(epoch, step)]

    def test_the_default_strategy_gets_every_chunk(self):
        chunks = iter(self.source().distributed(0))
        found = [next(chunks)[2].numpy().tolist() for _ in range(3)]
        self.assertEqual(found, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])

    def test_from_the_start_again_and_again(self):
        source = self.source()
        for _ in range(2):
            self.assertEqual(self.ids(source, 0, 0), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])
        chunks = iter(source.distributed(0))
        found = [next(chunks)[2].numpy().tolist() for _ in range(4)]
        self.assertEqual([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [0, 1, 2, 3]], found)

    def test_endless_data_need_no_agreement_on_their_end(self):
        # Workers of a cluster would all-reduce, at every chunk, whether each has one more.
        chunks = self.source().distributed(0)
        self.assertEqual(tf.data.INFINITE_CARDINALITY, tf.data.experimental.cardinality(chunks).numpy())

    def test_places_say_which_rounds_a_chunk_has(self):
        source = self.source(23, chunk_micro_batches=2, batch_size=20)
        places = [tuple(int(n) for n in place) for step in (0, 1) for _, place in source.calls(0, step)]
        self.assertEqual(places, [(0, 0, 2), (0, 2, 4), (0, 4, 5), (1, 0, 1)])

    def test_passes_in_the_order_of_steps_need_one_iterator(self):
        source = self.source(10, batch_size=6, shuffle=True)
        found = {}
        for epoch in (3, 4):
            for step in (0, 1):
                found[epoch, step] = self.ids(source, epoch, step)
        self.assertEqual(self.opened, [(3, 0)])
        for (epoch, step), ids in found.items():
            order = source.batches.order(epoch)
            self.assertAllEqual(np.concatenate(ids), order[6 * step : 6 * step + 6])

    def test_repeated_passes_are_of_the_same_step_and_need_one_iterator_too(self):
        source = self.source(10, repeats=2, batch_size=6, shuffle=True)
        for step in (0, 0, 1, 1):
            expected = source.batches.order(0)[6 * step : 6 * step + 6].tolist()
            self.assertAllEqual(np.concatenate(self.ids(source, 0, step)), expected)
        self.assertLen(self.opened, 1)

    @settings(deadline=None, max_examples=8)
    @given(
        repeats=st.integers(1, 2),
        places=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.booleans()), max_size=5),
    )
    def test_any_place_can_be_asked_for_also_after_a_pass_that_was_broken_off(self, repeats, places):
        source = self.source(23, repeats=repeats, batch_size=10, shuffle=True)
        for epoch, step, broken_off in places:
            expected = source.batches.order(epoch)[10 * step : 10 * step + 10].tolist()
            if broken_off:
                held, _ = next(source.calls(epoch, step))
                self.assertEqual(held[2].numpy().tolist(), expected[:4])
            else:
                self.assertAllEqual(np.concatenate(self.ids(source, epoch, step)), expected)


if __name__ == "__main__":
    tf.test.main()
