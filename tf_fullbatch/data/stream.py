"""Samples that stream from the host, chunk by chunk: for sets that do not fit the device."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tf_fullbatch.core.micro_batch import MicroBatch
from tf_fullbatch.core.passes import Fetch, Place
from tf_fullbatch.data.batches import Rows, UpdateBatches, micro_batch, some_rows
from tf_fullbatch.data.pace import Pace
from tf_fullbatch.data.plan import pieces
from tf_fullbatch.errors import UserError

CHUNK_MICRO_BATCHES = {"CPU": 4, "GPU": 16}
"""Default micro-batches per chunk: enough to amortise a transfer."""
CHUNK_BYTES = 64 * 2**20
"""Upper bound of a default chunk's inputs, in bytes."""


@dataclass(frozen=True, slots=True)
class ChunkFeed:
    """Micro-batches out of one chunk; see `core.passes.Feed`.

    A chunk is `(*Rows, first int64)`: consecutive micro-batches of one replica, `first` the index of the first. A
    replica with nothing to do has no rows.
    """

    micro_batch_size: int
    replicas: int
    equal: int | None = None
    """As of `ResidentFeed`, which a chunk must equal to the bit."""

    def micro_batches(self, held: Any, place: Place, epoch: tf.Tensor) -> tuple[Fetch, tf.Tensor, tf.Tensor]:
        """(fetch, begin, end) of the place's micro-batches within the chunk."""
        del epoch
        *parts, first = held
        chunk = Rows(*parts)
        size, rows = self.micro_batch_size, tf.shape(chunk.sample_ids)[0]
        first_round = tf.cast(first // self.replicas, tf.int32)

        def fetch(i: tf.Tensor) -> MicroBatch:
            count = tf.minimum(size, rows - i * size) if self.equal is None else self.equal
            index = first + tf.cast(i, tf.int64) * self.replicas
            return micro_batch(some_rows(chunk, i * size, count), index)

        return (
            fetch,
            place.begin - first_round,
            tf.minimum(place.end - first_round, pieces(rows, size)),
        )


class StreamSource:
    """Update batches that stream to the replicas of a strategy.

    A pass takes up where the last one ended, so passes in the order of steps need one iterator; any other place
    opens it anew.

    Args:
        batches: The samples.
        micro_batch_size: Samples per micro-batch.
        strategy: Whose replicas are fed, on each worker its own.
        repeats: How often each step is passed over (2 with the penalty on the whole gradient).
    """

    def __init__(
        self,
        batches: UpdateBatches,
        micro_batch_size: int,
        strategy: tf.distribute.Strategy,
        repeats: int = 1,
    ):
        self.batches = batches
        self.plan = batches.plan(micro_batch_size, strategy.num_replicas_in_sync)
        self.feed = ChunkFeed(micro_batch_size, self.plan.replicas, self.plan.equal_micro_batches)
        self.chunk = _chunk_micro_batches(batches, micro_batch_size)
        self.pace = Pace(batches.chunk_micro_batches)
        self._strategy = strategy
        self._changes = batches.shuffle or batches.mixes or batches.random_crops
        self._repeats = repeats
        self._next: tuple[int, int] | None = None
        self._passed = 0
        self._iterator: Iterator = iter(())
        self._failure: UserError | None = None

    def calls(self, epoch: int, step: int) -> Iterator[tuple[Any, Place]]:
        """What one pass over a step is cut into: (chunk, place) of each call."""
        # In a fixed order without partners and random crops every epoch is the same.
        if self._next is None or self._next[1] != step or (self._changes and self._next[0] != epoch):
            self._iterator = iter(self.distributed(epoch, step))
            self._passed = 0
        rounds = self.plan.rounds(step)
        self._next = None  # where the pass is broken off, the next one opens the stream anew
        for start in range(0, rounds, self.chunk):
            chunk, end = self._next_chunk(), min(start + self.chunk, rounds)
            yield from self.pace.calls(chunk, step, start, end)
        self._passed += 1
        if self._passed == self._repeats:
            self._passed, step = 0, step + 1
        self._next = (epoch, step) if step < self.plan.steps_per_epoch else (epoch + 1, 0)

    def _next_chunk(self) -> Any:
        """The next chunk.

        Raises:
            UserError: An image in it does not decode.
        """
        try:
            return next(self._iterator)
        except tf.errors.OpError as error:
            if self._failure is not None:  # tf.data has made text of it
                raise self._failure from error
            raise

    def _decoded(self, rows: np.ndarray, epoch: int) -> Rows:
        try:
            return self.batches.with_partners(rows, epoch)
        except UserError as error:
            self._failure = error
            raise

    def distributed(self, first_epoch: int, first_step: int = 0) -> tf.distribute.DistributedDataset:
        """`dataset` for every replica of the strategy, on each worker the part of its own replicas."""

        def local(context: tf.distribute.InputContext) -> tf.data.Dataset:
            count = context.num_replicas_in_sync // context.num_input_pipelines
            own = range(context.input_pipeline_id * count, (context.input_pipeline_id + 1) * count)
            return self.dataset(own, first_epoch, first_step)

        return self._strategy.distribute_datasets_from_function(local)

    def dataset(self, replicas: range, first_epoch: int = 0, first_step: int = 0) -> tf.data.Dataset:
        """The chunks of some replicas, without end: per epoch, step, repeat and chunk one of each replica.

        Args:
            replicas: The replicas fed by this host.
            first_epoch: Epoch to begin with.
            first_step: Step within that epoch to begin with.
        """
        batches, plan = self.batches, self.plan

        def chunks() -> Iterator[tuple]:
            epoch, begin = first_epoch, first_step
            while True:
                order = batches.order(epoch)
                for step in range(begin, plan.steps_per_epoch):
                    for _ in range(self._repeats):
                        for start in range(0, plan.rounds(step), self.chunk):
                            for replica in replicas:
                                positions = plan.rows(step, replica, start, start + self.chunk)
                                rows = positions if order is None else order[positions]
                                yield *self._decoded(rows, epoch), replica + start * plan.replicas
                epoch, begin = epoch + 1, 0

        signature = (*batches.chunk_spec, tf.TensorSpec([], tf.int64))
        dataset = tf.data.Dataset.from_generator(chunks, output_signature=signature)
        # Else the workers of a cluster ask each other, by an all-reduce per chunk, whether all have one more.
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        return dataset.prefetch(2 * len(replicas))


def in_flight_bytes(
    batches: UpdateBatches, micro_batch_size: int, replicas: int, kind: str | None = None
) -> int:
    """Bytes on their way while samples stream: of each device the chunk in use and two ahead, and one that is made.

    Args:
        batches: The samples.
        micro_batch_size: Samples per micro-batch.
        replicas: Devices that one process feeds.
        kind: A key of `CHUNK_MICRO_BATCHES`; None for the devices that are here.
    """
    rows = min(_chunk_micro_batches(batches, micro_batch_size, kind) * micro_batch_size, batches.batch_size)
    return math.ceil((1 + batches.mixes) * (3 * replicas + 1) * rows * batches.nbytes / batches.held)


def _chunk_micro_batches(batches: UpdateBatches, micro_batch_size: int, kind: str | None = None) -> int:
    if batches.chunk_micro_batches is not None:
        return batches.chunk_micro_batches
    micro_batch_bytes = micro_batch_size * max(1, _row_bytes(batches))
    here = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    default = CHUNK_MICRO_BATCHES[kind or here]
    return max(1, min(CHUNK_BYTES // micro_batch_bytes, default))


def _row_bytes(batches: UpdateBatches) -> int:
    """Bytes of the inputs of one sample."""
    return sum(array.nbytes // len(array) for array in tf.nest.flatten(batches.inputs))
