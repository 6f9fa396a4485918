"""Samples in host memory, cut into update batches."""

from typing import Any

import numpy as np
import tensorflow as tf

from tf_fullbatch.data.plan import MOST, BatchPlan, pieces


class UpdateBatches:
    """Arrays, and how they are cut into update batches, epoch after epoch.

    Args:
        inputs: `[samples, ...]`, images as uint8 `[samples, height, width, channels]` or any other array.
        targets: `[samples]` or `[samples, ...]`; None is refused with a message of its own.
        batch_size: Samples per update; None for all.
        sample_ids: int64 `[samples]`, what identifies a sample to augmentation and noise; default 0..N-1.
        shuffle: Draw a new order each epoch, a function of (seed, epoch).
        seed: Seed of the order.
        chunk_micro_batches: Most micro-batches of a replica per call and, where they stream, per chunk; None chooses.
            A matter of speed and of memory on the device alone, never of results.
        on_device: Keep the arrays on the device (True), or stream them from the host (False); None: keep them where
            they take a quarter of its memory at most. A matter of speed and memory alone, never of results.

    Raises:
        ValueError: No targets, lengths that differ, no samples, or sizes that do not fit.
    """

    def __init__(
        self,
        inputs: np.ndarray,
        targets: np.ndarray | None,
        *,
        batch_size: int | None = None,
        sample_ids: np.ndarray | None = None,
        shuffle: bool = False,
        seed: int = 0,
        chunk_micro_batches: int | None = None,
        on_device: bool | None = None,
    ):
        if targets is None:
            raise ValueError("y is missing: give the targets, one per sample.")
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
                f"sample_ids must be one number per sample, {len(inputs)} in all, but its shape is "
                f"{self.sample_ids.shape}."
            )
        self.batch_size = len(inputs) if batch_size is None else batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.chunk_micro_batches = chunk_micro_batches
        self.on_device = on_device
        self.sources: dict[Any, Any] = {}
        if chunk_micro_batches is not None and not 1 <= chunk_micro_batches <= MOST:
            raise ValueError(
                f"chunk_micro_batches must be at least 1 and at most {MOST} (2^30), but it is {chunk_micro_batches}."
            )
        self.plan(micro_batch_size=1)  # refuses sizes that do not fit

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self.inputs.nbytes + self.targets.nbytes + self.sample_ids.nbytes

    @property
    def element_spec(self) -> tuple[tf.TensorSpec, tf.TensorSpec, tf.TensorSpec]:
        """Specs of some rows: inputs, targets, sample ids."""
        return (
            tf.TensorSpec([None, *self.inputs.shape[1:]], self.inputs.dtype),
            tf.TensorSpec([None, *self.targets.shape[1:]], self.targets.dtype),
            tf.TensorSpec([None], tf.int64),
        )

    @property
    def steps_per_epoch(self) -> int:
        """Updates per epoch."""
        return pieces(len(self.inputs), self.batch_size)

    def plan(self, micro_batch_size: int, replicas: int = 1) -> BatchPlan:
        """How an epoch is cut into micro-batches of a number of replicas."""
        return BatchPlan(
            samples=len(self.inputs),
            update_batch_size=self.batch_size,
            micro_batch_size=micro_batch_size,
            replicas=replicas,
        )

    def order(self, epoch: int) -> np.ndarray | None:
        """Position -> row of the arrays in an epoch, int64 `[samples]`; None for the fixed order."""
        if not self.shuffle:
            return None
        last = len(self.inputs) - 1
        return shuffled(tf.range(last + 1, dtype=tf.int64), self.seed % 2**31, epoch, last).numpy()

    def select_rows(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs, targets and sample ids of some rows; a contiguous run is a view, not a copy."""
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and not self.shuffle:
            part = slice(rows[0], rows[-1] + 1)
            return self.inputs[part], self.targets[part], self.sample_ids[part]
        return self.inputs[rows], self.targets[rows], self.sample_ids[rows]


def shuffled(
    positions: tf.Tensor, seed: int | tf.Tensor, epoch: int | tf.Tensor, last: int | tf.Tensor
) -> tf.Tensor:
    """Where positions of an epoch's order stand in the arrays, a permutation of 0..last that follows (seed, epoch).

    Args:
        positions: int64 `[rows]`, each in 0..last.
        seed: Below 2^31.
        epoch: The pass.
        last: The highest position.
    """
    key = tf.stack([tf.cast(seed, tf.int32), tf.cast(epoch, tf.int32)])
    return tf.random.experimental.index_shuffle(positions, key, last)


def some_rows(array: tf.Tensor, begin: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
    """Rows begin <= i < begin + count of an array; its shape is known where `count` is a number."""
    rest = array.shape[1:]
    return tf.slice(array, [begin] + [0] * rest.rank, [count, *rest])
