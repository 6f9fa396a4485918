"""Update batches: which samples make a step, in which micro-batches, on which replica, in which chunk.

`BatchPlan` is the arithmetic, `UpdateBatches` the `tf.data` pipeline over arrays in host memory. One element
of the pipeline is a *chunk*: consecutive micro-batches of one replica, as
`(inputs [rows, ...], targets [rows, ...], sample_ids int64 [rows], first_micro_batch int64)`. Micro-batch `m`
of a step is computed by replica `m % replicas`, whatever the chunk size; a replica with nothing to do in a
round gets a chunk of zero rows.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

CHUNK_MICRO_BATCHES = {"CPU": 4, "GPU": 16}
"""Default micro-batches a chunk: enough to amortise a call, and seconds at most between two looks at signals and
progress, also where a micro-batch takes seconds."""
CHUNK_BYTES = 64 * 2**20
"""Upper bound of a default chunk's inputs, in bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchPlan:
    """How an epoch of `samples` is cut into update batches, micro-batches, replicas and chunks.

    Attributes:
        samples: N, samples an epoch.
        update_batch_size: Samples a step; the last step of an epoch may have fewer.
        micro_batch_size: Samples a micro-batch; the last of a step may have fewer.
        replicas: Replicas in sync, over all workers.
        chunk_micro_batches: Micro-batches a chunk.
    """

    samples: int
    update_batch_size: int
    micro_batch_size: int
    replicas: int = 1
    chunk_micro_batches: int = 1

    def __post_init__(self) -> None:
        for name in ("samples", "update_batch_size", "micro_batch_size", "replicas", "chunk_micro_batches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but it is {getattr(self, name)}.")
        if self.update_batch_size > self.samples:
            raise ValueError(
                f"An update batch of {self.update_batch_size} samples does not fit a data set of "
                f"{self.samples}."
            )

    @property
    def steps_per_epoch(self) -> int:
        """Updates an epoch; the last one may be smaller."""
        return math.ceil(self.samples / self.update_batch_size)

    def step_samples(self, step: int) -> int:
        """Samples in step `step` of an epoch, 0 <= step < steps_per_epoch."""
        return min(self.update_batch_size, self.samples - step * self.update_batch_size)

    def micro_batches(self, step: int) -> int:
        """K, micro-batches in step `step` of an epoch."""
        return math.ceil(self.step_samples(step) / self.micro_batch_size)

    def rounds(self, step: int) -> int:
        """Chunks a replica in step `step` of an epoch."""
        return math.ceil(math.ceil(self.micro_batches(step) / self.replicas) / self.chunk_micro_batches)

    def micro_batch(self, step: int, index: int) -> np.ndarray:
        """Positions within the epoch of micro-batch `index` of step `step`, int64 `[rows]`; none beyond the last."""
        begin = step * self.update_batch_size
        end = begin + self.step_samples(step)
        start = begin + index * self.micro_batch_size
        return np.arange(start, max(start, min(start + self.micro_batch_size, end)), dtype=np.int64)

    def chunk(self, step: int, round_: int, replica: int) -> tuple[np.ndarray, int]:
        """Positions within the epoch, int64 `[rows]`, and the index of the chunk's first micro-batch."""
        first = replica + self.replicas * round_ * self.chunk_micro_batches
        indices = range(first, first + self.replicas * self.chunk_micro_batches, self.replicas)
        return np.concatenate([self.micro_batch(step, index) for index in indices]), first


class UpdateBatches:
    """Arrays in host memory, handed out as the chunks of update batches, epoch after epoch.

    Args:
        inputs: `[samples, ...]`, images as uint8 `[samples, height, width, channels]` or any other array.
        targets: `[samples]` or `[samples, ...]`; None is refused with a message of its own.
        batch_size: Samples an update; None for all.
        micro_batch_size: Samples a forward and backward pass.
        sample_ids: int64 `[samples]`, what identifies a sample to augmentation and noise; default 0..N-1.
        shuffle: Draw a new order each epoch, a function of (seed, epoch).
        seed: Seed of the order.
        chunk_micro_batches: Micro-batches a chunk; None chooses by device. A matter of speed
            and of memory on the device alone, never of results.

    Raises:
        ValueError: No targets, lengths that differ, no samples, or sizes that do not fit.
    """

    def __init__(
        self,
        inputs: np.ndarray,
        targets: np.ndarray | None,
        *,
        batch_size: int | None = None,
        micro_batch_size: int = 128,
        sample_ids: np.ndarray | None = None,
        shuffle: bool = False,
        seed: int = 0,
        chunk_micro_batches: int | None = None,
    ):
        if targets is None:
            raise ValueError("y is missing: give the targets, one a sample.")
        inputs, targets = np.asarray(inputs), np.asarray(targets)
        if len(inputs) != len(targets) or len(inputs) == 0:
            raise ValueError(
                f"Inputs and targets must have the same positive number of samples, but there are "
                f"{len(inputs)} inputs and {len(targets)} targets."
            )
        self.inputs = inputs
        self.targets = targets
        self.sample_ids = np.arange(len(inputs)) if sample_ids is None else np.asarray(sample_ids, np.int64)
        if self.sample_ids.shape != (len(inputs),):
            raise ValueError(
                f"sample_ids must be one number a sample, {len(inputs)} in all, but its shape is "
                f"{self.sample_ids.shape}."
            )
        self.batch_size = len(inputs) if batch_size is None else batch_size
        self.micro_batch_size = min(micro_batch_size, len(inputs))
        self.shuffle = shuffle
        self.seed = seed
        self._chunk_micro_batches = chunk_micro_batches
        self._from_the_start: dict[tf.distribute.Strategy, tf.distribute.DistributedDataset] = {}
        self.plan(replicas=1)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def element_spec(self) -> tuple[tf.TensorSpec, tf.TensorSpec, tf.TensorSpec, tf.TensorSpec]:
        """Specs of a chunk: inputs, targets, sample ids, index of the first micro-batch."""
        return (
            tf.TensorSpec([None, *self.inputs.shape[1:]], self.inputs.dtype),
            tf.TensorSpec([None, *self.targets.shape[1:]], self.targets.dtype),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([], tf.int64),
        )

    def plan(self, replicas: int) -> BatchPlan:
        """The plan for a number of replicas."""
        chunk = self._chunk_micro_batches
        if chunk is None:
            micro_batch_bytes = self.micro_batch_size * max(1, self.inputs[0].nbytes)
            default = CHUNK_MICRO_BATCHES["GPU" if tf.config.list_physical_devices("GPU") else "CPU"]
            chunk = max(1, min(CHUNK_BYTES // micro_batch_bytes, default))
        return BatchPlan(
            samples=len(self.inputs),
            update_batch_size=self.batch_size,
            micro_batch_size=self.micro_batch_size,
            replicas=replicas,
            chunk_micro_batches=chunk,
        )

    def order(self, epoch: int) -> np.ndarray | None:
        """Position -> row of the arrays in an epoch, int64 `[samples]`; None for the fixed order."""
        if not self.shuffle:
            return None
        last = len(self.inputs) - 1
        positions = tf.range(last + 1, dtype=tf.int64)
        return tf.random.experimental.index_shuffle(positions, [self.seed % 2**31, epoch], last).numpy()

    def dataset(
        self,
        *,
        plan: BatchPlan,
        replicas: range,
        first_epoch: int = 0,
        first_step: int = 0,
        epochs: int | None = None,
        repeats: int = 1,
    ) -> tf.data.Dataset:
        """The chunks of some replicas: for each epoch, step, repeat and round one a replica, in that order.

        Args:
            plan: How steps are cut.
            replicas: The replicas fed by this host.
            first_epoch: Epoch to begin with.
            first_step: Step within that epoch to begin with.
            epochs: How many; None without end.
            repeats: How often each step's chunks come (2 with the full-gradient penalty).
        """

        def chunks() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, int]]:
            epoch, begin = first_epoch, first_step
            while epochs is None or epoch < first_epoch + epochs:
                order = self.order(epoch)
                for step in range(begin, plan.steps_per_epoch):
                    for _ in range(repeats):
                        for round_ in range(plan.rounds(step)):
                            for replica in replicas:
                                positions, first = plan.chunk(step, round_, replica)
                                rows = positions if order is None else order[positions]
                                yield *self.take(rows), first
                epoch, begin = epoch + 1, 0

        dataset = tf.data.Dataset.from_generator(chunks, output_signature=self.element_spec)
        if epochs is None:
            # Else the workers of a cluster ask each other, by an all-reduce a chunk, whether all have one more.
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        return dataset.prefetch(2 * len(replicas))

    def distributed(
        self,
        strategy: tf.distribute.Strategy,
        *,
        first_epoch: int = 0,
        first_step: int = 0,
        epochs: int | None = None,
        repeats: int = 1,
    ) -> tf.distribute.DistributedDataset:
        """`dataset` for every replica of a strategy, on each worker the part of its own replicas."""
        plan = self.plan(strategy.num_replicas_in_sync)

        def local(context: tf.distribute.InputContext) -> tf.data.Dataset:
            count = context.num_replicas_in_sync // context.num_input_pipelines
            replicas = range(context.input_pipeline_id * count, (context.input_pipeline_id + 1) * count)
            return self.dataset(
                plan=plan,
                replicas=replicas,
                first_epoch=first_epoch,
                first_step=first_step,
                epochs=epochs,
                repeats=repeats,
            )

        return strategy.distribute_datasets_from_function(local)

    def from_the_start(self, strategy: tf.distribute.Strategy) -> tf.distribute.DistributedDataset:
        """`distributed`, made once to be iterated over many times, each time from the first epoch."""
        if strategy not in self._from_the_start:
            self._from_the_start[strategy] = self.distributed(strategy)
        return self._from_the_start[strategy]

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs, targets and sample ids of some rows; a contiguous run is a view, not a copy."""
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and not self.shuffle:
            part = slice(rows[0], rows[-1] + 1)
            return self.inputs[part], self.targets[part], self.sample_ids[part]
        return self.inputs[rows], self.targets[rows], self.sample_ids[rows]
