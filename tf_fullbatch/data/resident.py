"""Samples that stay on the devices: a pass over them needs nothing of the host."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import psutil
import tensorflow as tf

from tf_fullbatch.core.copies import ids_of_copies
from tf_fullbatch.core.keras_internals import gpu_memory_limits
from tf_fullbatch.core.micro_batch import MicroBatch
from tf_fullbatch.core.mixing import Partners
from tf_fullbatch.core.passes import Fetch, Place
from tf_fullbatch.data.batches import Rows, UpdateBatches, micro_batch, partners_of, shuffled, some_rows
from tf_fullbatch.data.pace import Pace
from tf_fullbatch.data.plan import pieces
from tf_fullbatch.data.shares import MEMORY_SHARE
from tf_fullbatch.errors import UserError


class HeldSamples(NamedTuple):
    """What one replica holds.

    Attributes:
        rows: In the fixed order the rows of the replica's own micro-batches, one after the other; in a shuffled one, of
            several copies, or where samples have partners, all rows.
        numbers: int32 `[4]`: N of the whole set, samples per update, the replica's rows in a full step, and the seed of
            the order; in one tensor, since a loop pays for each that it is given.
    """

    rows: Rows
    numbers: tf.Tensor


@dataclass(frozen=True, slots=True)
class ResidentFeed:
    """Micro-batches out of what a replica holds; see `core.passes.Feed`."""

    micro_batch_size: int
    replicas: int
    shuffle: bool
    one_micro_batch: bool = False
    """Whether every step is one micro-batch on one replica, so that a pass needs no loop."""
    one_step: bool = False
    """Whether an epoch is one step."""
    equal: int | None = None
    """Samples of every micro-batch, where all have as many: shapes are known when a pass is compiled."""
    copies: int = 1
    """How often each row is a sample."""
    mixes: bool = False
    """Whether samples have partners."""

    @property
    def gathers(self) -> bool:
        """Whether micro-batches are gathered from all rows, rather than runs of a replica's own."""
        return self.shuffle or self.copies > 1 or self.mixes

    def micro_batches(
        self, held: HeldSamples, place: Place, epoch: tf.Tensor
    ) -> tuple[Fetch, tf.Tensor, tf.Tensor]:
        """(fetch, begin, end) of the replica's micro-batches."""
        replica = _replica(self.replicas)
        size = self.micro_batch_size
        samples, update_batch_size, rows_per_step, seed = tf.unstack(held.numbers, 4)
        step = 0 if self.one_step else place.step
        first = step * update_batch_size
        in_step = tf.minimum(update_batch_size, samples - first)
        count = pieces(in_step, size)
        end = tf.minimum(place.end, pieces(count - replica, self.replicas))
        own = step * rows_per_step

        def fetch(i: tf.Tensor) -> MicroBatch:
            index = i if self.replicas == 1 else replica + i * self.replicas
            begin = index * size
            rows = tf.minimum(size, in_step - begin) if self.equal is None else self.equal
            if self.gathers:
                where = tf.cast(first + begin, tf.int64) + tf.range(tf.cast(rows, tf.int64))
                if self.shuffle:
                    where = shuffled(where, seed, epoch, tf.cast(samples - 1, tf.int64))
                found = _gathered(held.rows, where, samples // self.copies, self.copies)
                if self.mixes:
                    of_whom = partners_of(where, seed, epoch, tf.cast(samples - 1, tf.int64))
                    other = _gathered(held.rows, of_whom, samples // self.copies, self.copies)
                    found = found._replace(partners=Partners(other.inputs, other.targets, other.sample_ids))
            else:
                found = some_rows(held.rows, own + i * size, rows)
            return micro_batch(found, tf.cast(index, tf.int64))

        return fetch, place.begin, end


class ResidentSource:
    """Update batches on the devices of a strategy.

    Args:
        batches: The samples.
        micro_batch_size: Samples per micro-batch.
        strategy: Whose replicas hold them.
    """

    def __init__(self, batches: UpdateBatches, micro_batch_size: int, strategy: tf.distribute.Strategy):
        self.batches = batches
        self.plan = batches.plan(micro_batch_size, strategy.num_replicas_in_sync)
        self.feed = ResidentFeed(
            micro_batch_size,
            self.plan.replicas,
            batches.shuffle,
            self.plan.one_micro_batch,
            self.plan.steps_per_epoch == 1,
            self.plan.equal_micro_batches,
            batches.copies,
            batches.mixes,
        )
        self.pace = Pace(batches.chunk_micro_batches)
        if strategy.num_replicas_in_sync == 1:
            self.held = self._held(0)
        else:
            self.held = strategy.experimental_distribute_values_from_function(
                lambda context: self._held(context.replica_id_in_sync_group)
            )

    def calls(self, epoch: int, step: int) -> Iterator[tuple[HeldSamples, Place]]:
        """What one pass over a step is cut into: (held, place) of each call."""
        del epoch
        yield from self.pace.calls(self.held, step, 0, self.plan.rounds(step))

    def _held(self, replica: int) -> HeldSamples:
        batches, plan = self.batches, self.plan
        per_step = plan.update_batch_size
        rows = batches.rows
        if plan.replicas > 1 and not self.feed.gathers:
            own = [plan.rows(step, replica, 0, plan.rounds(step)) for step in range(plan.steps_per_epoch)]
            per_step = len(own[0])
            rows = batches.select_rows(np.concatenate(own))
        numbers = (plan.samples, plan.update_batch_size, per_step, batches.seed % 2**31)
        held = tf.nest.map_structure(lambda array: tf.identity(tf.constant(array[:])), rows)
        return HeldSamples(held, tf.constant(numbers, tf.int32))


def fits(batches: UpdateBatches, taken: int = 0) -> bool:
    """Whether samples may stay on the devices.

    Args:
        batches: The samples.
        taken: Bytes of what the host has free that will be taken by then.

    Raises:
        UserError: They should, but vary with the epoch, or are in their files and do not fit once they are decoded.
    """
    if batches.on_device and batches.random_crops:
        raise UserError(
            "--data_on_device=on with --random_resized_crop, which decodes images anew in each pass: leave it at auto."
        )
    if batches.on_device and batches.in_files and batches.nbytes > device_memory(taken):
        raise UserError(
            f"--data_on_device=on: the decoded images take {batches.nbytes / 2**30:.1f} GiB, of which "
            f"{device_memory(taken) / 2**30:.1f} GiB are available: leave it at auto."
        )
    if batches.on_device is not None:
        return batches.on_device
    if batches.in_files:
        return False
    return batches.nbytes <= MEMORY_SHARE * device_memory(taken)


def device_memory(taken: int = 0) -> int:
    """Bytes of the smallest device that computes: what TensorFlow may take of a GPU, or what the host has free."""
    limits = gpu_memory_limits() if tf.config.list_physical_devices("GPU") else []
    return min(limits, default=psutil.virtual_memory().available - taken)


def held_bytes(batches: UpdateBatches, replicas: int) -> int:
    """Bytes that each of the devices holds of samples that stay: its own, or all where they are gathered."""
    return batches.nbytes if _holds_all(batches) else math.ceil(batches.nbytes / replicas)


def transfer_bytes(batches: UpdateBatches, replicas: int) -> int:
    """Bytes of the host that are taken besides while one device after the other is given them."""
    largest = max(array.nbytes for array in tf.nest.flatten(batches.rows))  # arrays are given one by one
    if replicas == 1 or _holds_all(batches):
        return largest
    return math.ceil((batches.nbytes + largest) / replicas)  # a device's own rows are picked out first


def _holds_all(batches: UpdateBatches) -> bool:
    """Whether every device holds all rows, see `ResidentFeed.gathers`."""
    return batches.shuffle or batches.copies > 1 or batches.mixes


def _gathered(rows: Rows, where: tf.Tensor, held: tf.Tensor, copies: int) -> Rows:
    """Rows numbered through all copies of those that are held."""
    own = where % tf.cast(held, tf.int64) if copies > 1 else where
    found = tf.nest.map_structure(lambda array: tf.gather(array, own), rows)
    if copies == 1:
        return found
    return found._replace(sample_ids=ids_of_copies(found.sample_ids, where // tf.cast(held, tf.int64)))


def _replica(replicas: int) -> tf.Tensor | int:
    """The replica's number, in replica context."""
    if replicas == 1:
        return 0
    context = tf.distribute.get_replica_context()
    assert context is not None
    return tf.cast(context.replica_id_in_sync_group, tf.int32)
