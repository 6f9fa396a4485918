"""Samples in host memory, cut into update batches."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_fullbatch.core.copies import ids_of_copies
from tf_fullbatch.core.micro_batch import MicroBatch
from tf_fullbatch.core.mixing import Partners
from tf_fullbatch.data.encoded import Crops, EncodedImages, decoded, selected
from tf_fullbatch.data.plan import MOST, BatchPlan, pieces
from tf_fullbatch.data.structures import as_arrays
from tf_fullbatch.errors import UserError

_OF_PARTNERS = 0x3A5C96E1
"""What tells the permutation of partners from that of the order."""
_ROUNDS = 8
"""Rounds of the cipher that permutes. After TensorFlow's four, up to half of a small set's samples stay where they are
in some passes; from six on nothing tells its orders from uniform ones (fixed points, exchanged pairs, distances)."""


class Rows(NamedTuple):
    """Some samples, as arrays, tensors or specs of them.

    Attributes:
        inputs: `[rows, ...]`; of a network of several inputs a tuple of such, or name -> inputs.
        targets: `[rows]` or `[rows, ...]`; of several outputs a tuple of such, or name -> targets.
        sample_ids: int64 `[rows]`.
        weights: Sample weights, `[rows]` or `[rows, ...]`, or a tuple or a dictionary of such; () for ones.
        partners: Other samples that these are to be mixed with (`core.mixing.Partners`); () for none.
    """

    inputs: Any
    targets: Any
    sample_ids: Any
    weights: Any = ()
    partners: Any = ()

    @property
    def given_weights(self) -> Any:
        """The sample weights; None where there are none."""
        return self.weights if tf.nest.flatten(self.weights) else None


class UpdateBatches:
    """Arrays, and how they are cut into update batches, epoch after epoch.

    Args:
        inputs: `[samples, ...]`, images as uint8 `[samples, height, width, channels]`, in an array or in their files
            (`EncodedImages`, which stream unless `on_device` says else), or any other array; for a
            network of several inputs a list or tuple of such, in their order, or name -> array.
        targets: `[samples]` or `[samples, ...]`, or the same of several outputs; None is refused with a message of its
            own.
        sample_weight: Factors on the samples' losses, `[samples]`, or on those of places, `[samples, ...]`; or the same
            of several outputs. None for ones.
        batch_size: Samples per update; None for all.
        sample_ids: int64 `[samples]`, what identifies a sample to augmentation and noise; default 0..N-1.
        shuffle: Draw a new order each epoch, a function of (seed, epoch).
        seed: Seed of the order, and of random crops of images in their files.
        chunk_micro_batches: Most micro-batches of a replica per call and, where they stream, per chunk; None chooses.
            A matter of speed and of memory on the device alone, never of results.
        on_device: Keep the arrays on the device (True), or stream them from the host (False); None: keep them where
            they take a quarter of its memory at most. A matter of speed and memory alone, never of results.
        copies: How often each sample is there, one copy of all after the other, the arrays once; an augmentation tells
            copies apart by their ids (`core.copies`).
        mixes: Give each sample a partner (`core.mixing`), by a permutation of all samples that follows (seed, epoch).

    Raises:
        ValueError: No targets, lengths that differ, no samples, or sizes that do not fit.
    """

    def __init__(
        self,
        inputs: Any,
        targets: Any,
        sample_weight: Any = None,
        *,
        batch_size: int | None = None,
        sample_ids: np.ndarray | None = None,
        shuffle: bool = False,
        seed: int = 0,
        chunk_micro_batches: int | None = None,
        on_device: bool | None = None,
        copies: int = 1,
        mixes: bool = False,
    ):
        if targets is None:
            raise ValueError("y is missing: give the targets, one per sample.")
        self.inputs, self.targets = as_arrays(inputs, "inputs"), as_arrays(targets, "targets")
        self.weights = () if sample_weight is None else as_arrays(sample_weight, "sample weights")
        for weights in tf.nest.flatten(self.weights):
            if weights.dtype.kind not in "biuf":
                raise UserError(f"sample_weight is of dtype {weights.dtype}: give numbers.")
        self.held = _common_length(self.inputs, self.targets, self.weights)
        self.copies = self.copies_in_all = copies
        self.mixes = mixes
        self.sample_ids = np.arange(self.held) if sample_ids is None else np.asarray(sample_ids, np.int64)
        if self.sample_ids.shape != (self.held,):
            raise ValueError(
                f"sample_ids must be one number per sample, {self.held} in all, but its shape is "
                f"{self.sample_ids.shape}."
            )
        self.batch_size = len(self) if batch_size is None else batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.chunk_micro_batches = chunk_micro_batches
        self.on_device = on_device
        self.sources: dict[Any, Any] = {}
        self._whole: UpdateBatches | None = None
        if chunk_micro_batches is not None and not 1 <= chunk_micro_batches <= MOST:
            raise ValueError(
                f"chunk_micro_batches must be at least 1 and at most {MOST} (2^30), but it is {chunk_micro_batches}."
            )
        self.plan(micro_batch_size=1)  # refuses sizes that do not fit

    def __len__(self) -> int:
        return self.held * self.copies

    @property
    def rows(self) -> Rows:
        """All samples, each once."""
        return Rows(self.inputs, self.targets, self.sample_ids, self.weights)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, and of images in their files once they are decoded."""
        return sum(array.nbytes for array in tf.nest.flatten(self.rows))

    @property
    def in_files(self) -> list[EncodedImages]:
        """The inputs that stay in their files."""
        return [array for array in tf.nest.flatten(self.inputs) if isinstance(array, EncodedImages)]

    @property
    def random_crops(self) -> bool:
        """Whether inputs vary with the epoch as they are decoded."""
        return any(images.random_crops for images in self.in_files)

    @property
    def element_spec(self) -> Rows:
        """Specs of some rows."""
        return tf.nest.map_structure(lambda a: tf.TensorSpec([None, *a.shape[1:]], a.dtype), self.rows)

    @property
    def steps_per_epoch(self) -> int:
        """Updates per epoch."""
        return pieces(len(self), self.batch_size)

    def plan(self, micro_batch_size: int, replicas: int = 1) -> BatchPlan:
        """How an epoch is cut into micro-batches of a number of replicas."""
        return BatchPlan(
            samples=len(self),
            update_batch_size=self.batch_size,
            micro_batch_size=micro_batch_size,
            replicas=replicas,
        )

    def order(self, epoch: int) -> np.ndarray | None:
        """Position -> row in an epoch, int64 `[samples]`, numbered through all copies; None for the fixed order."""
        if not self.shuffle:
            return None
        last = len(self) - 1
        return shuffled(tf.range(last + 1, dtype=tf.int64), self.seed % 2**31, epoch, last).numpy()

    @property
    def chunk_spec(self) -> Rows:
        """Specs of some rows with their partners, if samples have such."""
        spec = self.element_spec
        return (
            spec._replace(partners=Partners(spec.inputs, spec.targets, spec.sample_ids))
            if self.mixes
            else spec
        )

    def with_partners(self, rows: np.ndarray, epoch: int) -> Rows:
        """Some rows, with their partners in an epoch where samples are mixed."""
        found = self.select_rows(rows, epoch)
        if not self.mixes:
            return found
        whom = rows
        if len(rows):  # TensorFlow shuffles no empty vector
            whom = partners_of(tf.constant(rows), self.seed % 2**31, epoch, len(self) - 1).numpy()
        partners = self.select_rows(whom, epoch)
        return found._replace(partners=Partners(partners.inputs, partners.targets, partners.sample_ids))

    def select_rows(self, rows: np.ndarray, epoch: int | None = None) -> Rows:
        """Some rows, numbered through all copies; a contiguous run is a view, no copy. Images in files are decoded.

        Args:
            rows: int64 `[rows]`.
            epoch: Whose random crops these images are; None for the images without any.
        """
        part: Any = rows
        if self.copies > 1:
            part = rows % self.held
            found = tf.nest.map_structure(lambda array: decoded(array, part), self.rows)
            return found._replace(sample_ids=ids_of_copies(found.sample_ids, rows // self.held))
        if len(rows) and np.all(np.diff(rows) == 1):
            part = slice(rows[0], rows[-1] + 1)
        crops = None if epoch is None else Crops(self.rows.sample_ids[part], self.seed, epoch)
        return tf.nest.map_structure(lambda array: decoded(array, part, crops), self.rows)

    def whole(self) -> "UpdateBatches":
        """All samples as one update batch, in their fixed order unless they are one already."""
        if self.batch_size == len(self):
            return self
        if self._whole is None:
            rows = self.rows
            self._whole = UpdateBatches(
                rows.inputs,
                rows.targets,
                rows.given_weights,
                sample_ids=rows.sample_ids,
                seed=self.seed,
                chunk_micro_batches=self.chunk_micro_batches,
                on_device=self.on_device,
                copies=self.copies,
                mixes=self.mixes,
            )
        return self._whole

    def select(self, rows: np.ndarray) -> "UpdateBatches":
        """Some rows, as one update batch; of several copies those that are chosen, by their ids."""
        chosen = tf.nest.map_structure(lambda array: selected(array, rows % self.held), self.rows)
        if self.copies > 1:
            chosen = chosen._replace(sample_ids=ids_of_copies(chosen.sample_ids, rows // self.held))
        found = UpdateBatches(
            chosen.inputs,
            chosen.targets,
            chosen.given_weights,
            sample_ids=chosen.sample_ids,
            seed=self.seed,
            mixes=self.mixes,
        )
        found.copies_in_all = self.copies_in_all
        return found


def _common_length(inputs: Any, targets: Any, weights: Any) -> int:
    """The number of samples that all arrays have."""
    named = {"inputs": inputs, "targets": targets, "sample weights": weights}
    lengths = {
        name: [a.shape[0] if a.ndim else 0 for a in tf.nest.flatten(part)] for name, part in named.items()
    }
    every = {length for part in lengths.values() for length in part}
    if len(every) != 1 or 0 in every or not lengths["inputs"] or not lengths["targets"]:
        counts = [
            f"{' and '.join(map(str, part)) or 0} {name}"
            for name, part in lengths.items()
            if part or name != "sample weights"
        ]
        raise ValueError(
            "Inputs and targets must have the same positive number of samples, but there are "
            f"{' and '.join(counts)}."
        )
    return every.pop()


def shuffled(
    positions: tf.Tensor, seed: int | tf.Tensor, epoch: int | tf.Tensor, last: int | tf.Tensor
) -> tf.Tensor:
    """Where positions of an epoch's order stand in the arrays, a permutation of 0..last that follows (seed, epoch).

    The cipher sees the lowest 8 bits alone of each word of its key (of sets above 65,536 more): seed and epoch, given
    as they are, have the same order every 256 passes. So the key is hashed from them, one of 2^24 at least.

    Args:
        positions: int64 `[rows]`, each in 0..last.
        seed: Below 2^31.
        epoch: The pass.
        last: The highest position.
    """
    with tf.device("CPU:0"):  # where TensorFlow permutes
        of_pass = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
        key = tf.random.stateless_uniform([3], of_pass, None, None, tf.uint32, alg="philox")
        return tf.raw_ops.RandomIndexShuffle(
            index=positions, seed=key, max_index=tf.cast(last, tf.int64), rounds=_ROUNDS
        )


def partners_of(
    rows: tf.Tensor, seed: int | tf.Tensor, epoch: int | tf.Tensor, last: int | tf.Tensor
) -> tf.Tensor:
    """The rows that rows are mixed with, a permutation of 0..last that follows (seed, epoch); see `shuffled`."""
    return shuffled(rows, tf.bitwise.bitwise_xor(tf.cast(seed, tf.int32), _OF_PARTNERS), epoch, last)


def some_rows(rows: Rows, begin: tf.Tensor, count: tf.Tensor | int) -> Rows:
    """Those with begin <= i < begin + count; shapes are known where `count` is a number."""

    def part(array: tf.Tensor) -> tf.Tensor:
        rest = array.shape[1:]
        return tf.slice(array, [begin] + [0] * rest.rank, [count, *rest])

    return tf.nest.map_structure(part, rows)


def micro_batch(rows: Rows, index: tf.Tensor) -> MicroBatch:
    """The micro-batch number `index` of a step."""
    return MicroBatch(
        rows.inputs,
        rows.targets,
        rows.sample_ids,
        index,
        rows.given_weights,
        partners=Partners(*rows.partners) if rows.partners else None,
    )
