"""What Keras' `fit` and `evaluate` take as data, as arrays in memory: an update needs all of its samples at hand."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import psutil
import tensorflow as tf

from tf_fullbatch.data.structures import as_arrays, is_structure
from tf_fullbatch.errors import UserError, one_line

MEMORY_SHARE = 0.8
"""Share of the host's free memory that collected samples may take."""


class Samples(NamedTuple):
    """Samples as arrays, or structures of arrays of one leading size.

    Attributes:
        inputs: Of the network.
        targets: None where there are none.
        weights: Sample weights; None for ones.
    """

    inputs: Any
    targets: Any
    weights: Any


def collected(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    steps: int | None = None,
    name: str = "x",
    steps_name: str = "steps_per_epoch",
) -> Samples:
    """Samples in memory, out of anything that Keras takes.

    Args:
        x: Inputs; or a finite `tf.data.Dataset`, generator or `keras.utils.PyDataset` of batches `inputs`, `(inputs,
            targets)` or `(inputs, targets, weights)`, which is gone through once, in its order.
        y: Targets; not with batches.
        sample_weight: Weights; not with batches.
        steps: Batches to take; None for all. Not with arrays.
        name: The argument's name, for messages.
        steps_name: That of the argument `steps`.

    Raises:
        UserError: Batches without end, of single samples, of ragged or sparse tensors, or too large for memory;
            arguments that do not belong together.
    """
    if not _gives_batches(x):
        if steps is not None:
            raise UserError(
                f"{name} is given as arrays, and {steps_name}={steps} beside them: an epoch is one pass over the "
                "samples, and batch_size says how many make an update."
            )
        given = {"inputs": x, "targets": y, "sample weights": sample_weight}
        return Samples(*(None if data is None else as_arrays(data, what) for what, data in given.items()))
    if y is not None or sample_weight is not None:
        raise UserError(
            f"{name} is a {type(x).__name__}, which gives targets and weights itself: leave y and sample_weight out."
        )
    parts: list[tuple] = []
    free, taken = MEMORY_SHARE * psutil.virtual_memory().available, 0
    for batch in _batches(x, steps, name, steps_name):
        arrays = tf.nest.map_structure(lambda part: _array(part, name), _three(batch, name))
        taken += sum(a.nbytes for a in tf.nest.flatten(arrays) if a is not None)
        if taken > free:
            raise UserError(
                f"{name} gave more than {free / 2**30:.1f} GiB after {len(parts):,} batches, {MEMORY_SHARE:.0%} of the "
                "free memory: it is too large to be collected, or without end; say how many batches by "
                f"{steps_name}."
            )
        parts.append(arrays)
    if not parts:
        raise UserError(f"{name} is a {type(x).__name__} that gives no batch: give one with samples.")
    if any(len({part[i] is None for part in parts}) > 1 for i in range(3)):
        raise UserError(
            f"Some batches of {name} have targets or weights, others none: give all of them the same parts."
        )
    try:
        joined = tf.nest.map_structure(_joined, *parts)
    except (ValueError, TypeError) as error:
        reason = one_line(error)
        raise UserError(f"The batches of {name} do not fit together: {reason}") from error
    return Samples(*joined)


def split_off(samples: Samples, share: float) -> tuple[Samples, Samples]:
    """Training and validation samples: the last `share` of them validate, as Keras' `validation_split` has it.

    Args:
        samples: As `collected` gives them.
        share: Of the samples, to validate on.

    Raises:
        UserError: A share out of range, or that leaves one of them empty.
    """
    count = len(tf.nest.flatten(samples.inputs)[0])
    cut = int(np.floor(count * (1.0 - share)))
    if not 0 < share < 1 or cut == 0 or cut == count:
        raise UserError(
            f"validation_split={share} of {count} samples leaves none to train or none to validate on: give a share "
            "between 0 and 1, or validation_data."
        )

    def part(data: Any, rows: slice) -> Any:
        if data is None:
            return None
        return tf.nest.map_structure(lambda array: array[rows], data)

    return tuple(Samples(*(part(data, rows) for data in samples)) for rows in (np.s_[:cut], np.s_[cut:]))  # type: ignore[return-value]


def with_class_weight(samples: Samples, class_weight: Mapping[int, float] | None) -> Samples:
    """Samples weighted by their class: one weight per class number; 1 where none is given.

    Targets are class numbers `[samples]` or `[samples, 1]`, or one-hot `[samples, classes]`.

    Raises:
        UserError: There are sample weights too, several outputs, or it is no dictionary.
    """
    if class_weight is None:
        return samples
    if not isinstance(class_weight, Mapping):
        raise UserError(f"class_weight={class_weight!r}: give a dictionary, class number -> weight.")
    if samples.weights is not None:
        raise UserError(
            "class_weight and sample_weight cannot be given together: multiply them into sample_weight."
        )
    if samples.targets is None or is_structure(samples.targets):
        raise UserError("class_weight is for one output: give sample_weight, a structure like the targets.")
    targets = np.asarray(samples.targets)
    if targets.ndim > 1:
        targets = np.argmax(targets, axis=-1) if targets.shape[-1] != 1 else targets[..., 0]
    if targets.ndim != 1:
        raise UserError(
            f"class_weight is for one class per sample, but the targets have {targets.ndim} axes: give sample_weight."
        )
    numbers, where = np.unique(np.round(targets).astype("int64"), return_inverse=True)
    weights = np.array([class_weight.get(int(number), 1.0) for number in numbers], keras.config.floatx())
    return samples._replace(weights=weights[where])


def _gives_batches(data: Any) -> bool:
    kinds = (tf.data.Dataset, tf.distribute.DistributedDataset, keras.utils.PyDataset, Iterator)
    return isinstance(data, kinds)


def _batches(data: Any, steps: int | None, name: str, steps_name: str) -> Iterable[Any]:
    """The batches, as many as are asked for."""
    if isinstance(data, tf.distribute.DistributedDataset):
        raise UserError(
            f"{name} is a distributed data set: give the tf.data.Dataset that it was made of; samples are shared out "
            "among the replicas here."
        )
    without_end = False
    if isinstance(data, tf.data.Dataset):
        without_end = int(data.cardinality()) == tf.data.INFINITE_CARDINALITY
    elif isinstance(data, keras.utils.PyDataset):
        without_end = data.num_batches is None
    if without_end and steps is None:
        raise UserError(
            f"{name} is a {type(data).__name__} without end, but an update needs to know all of its samples: leave out "
            f".repeat(), or say how many batches make an epoch by {steps_name}."
        )
    if isinstance(data, keras.utils.PyDataset):
        counts = [count for count in (steps, data.num_batches) if count is not None]
        for index in range(min(counts)):
            yield data[index]
        return
    yield from itertools.islice(data, steps)


def _three(batch: Any, name: str) -> tuple:
    """(inputs, targets, weights) of a batch."""
    try:
        return keras.utils.unpack_x_y_sample_weight(batch)
    except ValueError as error:
        raise UserError(
            f"{name} gives batches of {len(batch)} parts: give (inputs, targets) or (inputs, targets, weights)."
        ) from error


def _array(part: Any, name: str) -> np.ndarray | None:
    if part is None:
        return None
    if isinstance(part, tf.RaggedTensor | tf.SparseTensor):
        raise UserError(f"{name} gives a {type(part).__name__}: pad it, or make it dense.")
    array = np.asarray(part)
    if not array.ndim:
        raise UserError(f"{name} gives single samples, not batches: add .batch(1000), or any other size.")
    return array


def _joined(*arrays: np.ndarray | None) -> np.ndarray | None:
    return None if arrays[0] is None else np.concatenate(arrays)  # type: ignore[arg-type]
