"""A data set of the user's own arrays, looked at before anything is made of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_fullbatch.data.sources.dataset import Dataset, Split, in_order
from tf_fullbatch.errors import UserError

SPLITS = ("train", "validation", "test")


def dataset_of(name: str, parts: Mapping[str, tuple[Any, Any]]) -> Dataset:
    """The data set of split -> (inputs, targets).

    Inputs are `[samples, ...]`: uint8 are pixels (`[samples, height, width]` gets a channel), floats are numbers, other
    integers are tokens. Targets are class numbers from 0, `[samples]` or `[samples, 1]`.

    Raises:
        UserError: No training samples, unknown splits, arrays of other kinds, shapes, lengths or classes, or
            values that are not finite.
    """
    unknown = [split for split in parts if split not in SPLITS]
    if unknown or "train" not in parts:
        raise UserError(
            f"it has the splits {', '.join(map(repr, parts)) or 'none'}: give 'train', and 'validation' "
            "and 'test' where there are any."
        )
    arrays = {split: (_inputs(split, x), _targets(split, y)) for split, (x, y) in parts.items()}
    train_inputs, train_targets = arrays["train"]
    classes = int(train_targets.max()) + 1 if len(train_targets) else 0
    for split, (inputs, targets) in arrays.items():
        if len(inputs) != len(targets) or not len(inputs):
            raise UserError(
                f"the split {split!r} has {len(inputs)} inputs and {len(targets)} targets: give one target "
                "per input, and at least one."
            )
        if inputs.shape[1:] != train_inputs.shape[1:] or inputs.dtype != train_inputs.dtype:
            raise UserError(
                f"the inputs of {split!r} are {inputs.dtype}{list(inputs.shape[1:])}, those of 'train' "
                f"{train_inputs.dtype}{list(train_inputs.shape[1:])}: give them alike."
            )
        if targets.max() >= classes:
            raise UserError(
                f"the targets of {split!r} go up to {targets.max()}, those of 'train' to {classes - 1}: "
                "there is nothing to learn such a class from."
            )
    if classes < 2:
        raise UserError("all targets of 'train' are 0: give at least two classes.")
    found: dict[str, Split] = {split: in_order(x, y, classes) for split, (x, y) in arrays.items()}
    return Dataset(
        name=name,
        train=found["train"],
        test=found.get("test"),
        test_split="test" if "test" in found else None,
        validation=found.get("validation"),
    )


def _inputs(split: str, given: Any) -> np.ndarray:
    inputs = _array(split, "inputs", given)
    if inputs.ndim == 1 and inputs.dtype.kind in "iuf":
        raise UserError(
            f"the inputs of {split!r} have the shape {inputs.shape}: give [samples, features] or more axes."
        )
    if inputs.dtype == np.uint8:
        return inputs[..., np.newaxis] if inputs.ndim == 3 else inputs
    if inputs.dtype.kind in "iub":
        return inputs.astype(np.int32)
    if inputs.dtype.kind != "f":
        raise UserError(
            f"the inputs of {split!r} are {inputs.dtype}: give pixels (uint8), numbers or integer tokens."
        )
    finite = np.isfinite(inputs).all(axis=tuple(range(1, inputs.ndim)))
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise UserError(
            f"the inputs of {split!r} are not finite in {len(bad)} sample(s), the first is {bad[0]}: "
            "mend or leave out these samples."
        )
    return inputs.astype(np.float32)


def _targets(split: str, given: Any) -> np.ndarray:
    targets = _array(split, "targets", given)
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.dtype.kind in "USO":
        raise UserError(
            f"the targets of {split!r} are text or objects: give class numbers from 0, for instance "
            "np.unique(y, return_inverse=True)[1]."
        )
    if targets.ndim != 1 or targets.dtype.kind not in "iub":
        raise UserError(
            f"the targets of {split!r} are {targets.dtype}{list(targets.shape)}: give class numbers, "
            "integers [samples]; other targets train in Python (FullBatchModel)."
        )
    if len(targets) and targets.min() < 0:
        raise UserError(f"the targets of {split!r} go down to {targets.min()}: give class numbers from 0.")
    return targets.astype(np.int32)


def _array(split: str, what: str, given: Any) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError as error:  # rows of different lengths
        raise UserError(f"the {what} of {split!r} are no array ({error}).") from error
    if not array.ndim:
        raise UserError(f"the {what} of {split!r} are one value: give an array [samples, ...].")
    return array
