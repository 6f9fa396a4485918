"""A data set of the user's own arrays, looked at before anything is made of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import optree

from tf_fullbatch.data.encoded import EncodedImages
from tf_fullbatch.data.sources.dataset import Dataset, in_order, num_classes
from tf_fullbatch.data.structures import is_structure
from tf_fullbatch.errors import UserError

SPLITS = ("train", "validation", "test")


def dataset_of(name: str, parts: Mapping[str, tuple[Any, Any]], vocabulary: int | None = None) -> Dataset:
    """The data set of split -> (inputs, targets), each an array, or a list, tuple or dictionary of arrays.

    Inputs are `[samples, ...]`: uint8 are pixels (`[samples, height, width]` gets a channel), floats are numbers, other
    integers are tokens. Integer targets are class numbers from 0, `[samples]`, `[samples, 1]` or one per place,
    `[samples, ...]`; floats are numbers, `[samples]` or `[samples, ...]`. Classes are as many as the highest and one,
    which may not be more than the training targets (or than the tokens, of targets that are tokens too). Of tokens,
    `vocabulary` says how many there are; None: as many as the highest in any split.

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
    arrays = {
        split: (_each(split, "inputs", x, _inputs), _each(split, "targets", y, _targets))
        for split, (x, y) in parts.items()
    }
    for split, pair in arrays.items():
        _check_lengths(split, *pair)
        for what, of_split, of_train in zip(("inputs", "targets"), pair, arrays["train"], strict=True):
            _check_alike(what, split, of_split, of_train)
    classes = num_classes(arrays["train"][1])
    for split, (_, targets) in arrays.items():
        optree.tree_map(lambda array, known: _check_classes(split, array, known), targets, classes)  # noqa: B023
    vocabulary = vocabulary or _vocabulary([x for x, _ in arrays.values()])
    optree.tree_map(lambda array: _check_enough_targets(array, vocabulary or 0), arrays["train"][1])
    found = {split: in_order(x, y, classes, vocabulary) for split, (x, y) in arrays.items()}
    return Dataset(
        name=name,
        train=found["train"],
        test=found.get("test"),
        test_split="test" if "test" in found else None,
        validation=found.get("validation"),
    )


def _vocabulary(inputs: list[Any]) -> int | None:
    """Tokens of all splits, the highest and one; None where inputs are no tokens, numbered from 0."""
    if not all(isinstance(x, np.ndarray) and x.dtype == np.int32 and x.min() >= 0 for x in inputs):
        return None
    return int(max(x.max() for x in inputs)) + 1


def _each(split: str, what: str, given: Any, made: Any) -> Any:
    """An array, or a tuple or dictionary of arrays, each made into what it is to be."""
    if not is_structure(given):
        return made(f"{what} of {split!r}", given)
    if isinstance(given, Mapping):
        if not given:
            raise UserError(f"the {what} of {split!r} are an empty dictionary: give arrays.")
        return {str(key): made(f"{what} {key!r} of {split!r}", part) for key, part in given.items()}
    return tuple(made(f"{what} number {i} of {split!r}", part) for i, part in enumerate(given))


def _check_lengths(split: str, inputs: Any, targets: Any) -> None:
    counts = {
        what: sorted({len(array) for array in optree.tree_leaves(arrays)})
        for what, arrays in (("inputs", inputs), ("targets", targets))
    }
    if counts["inputs"] != counts["targets"] or len(counts["inputs"]) != 1 or counts["inputs"] == [0]:
        shown = " and ".join(f"{' and '.join(map(str, numbers))} {what}" for what, numbers in counts.items())
        raise UserError(f"the split {split!r} has {shown}: give one target per input, and at least one.")


def _check_alike(what: str, split: str, arrays: Any, of_train: Any) -> None:
    def kinds(structure: Any) -> Any:
        return optree.tree_map(lambda array: f"{array.dtype}{list(array.shape[1:])}", structure)

    here, there = kinds(arrays), kinds(of_train)
    if here != there:
        raise UserError(f"the {what} of {split!r} are {here}, those of 'train' {there}: give them alike.")


def _check_classes(split: str, targets: np.ndarray, classes: int) -> None:
    if targets.dtype.kind != "i":
        return
    if classes < 2:
        raise UserError("all targets of 'train' are 0: give at least two classes.")
    if targets.max() >= classes:
        raise UserError(
            f"the targets of {split!r} go up to {_at(targets, targets.argmax())}, those of 'train' to {classes - 1}: "
            "there is nothing to learn such a class from."
        )


def _check_enough_targets(targets: np.ndarray, tokens: int) -> None:
    """Refuses class numbers beyond the count of the training targets: a wrong one would make as many outputs."""
    if targets.dtype.kind != "i" or targets.max() < max(targets.size, tokens):
        return
    raise UserError(
        f"the targets of 'train' go up to {_at(targets, targets.argmax())}, which makes {int(targets.max()) + 1:,} "
        f"classes, the highest and one, among {targets.size:,} targets: mend it, number the classes that there are "
        "(np.unique(y, return_inverse=True)[1]), or give floats where they are no classes."
    )


def _at(targets: np.ndarray, place: np.intp) -> str:
    """The target at a place of the flat array, and whose it is."""
    return f"{targets.flat[place]:,} (sample {place // (targets.size // len(targets))})"


def _inputs(what: str, given: Any) -> Any:
    if isinstance(given, EncodedImages):
        return given
    inputs = _array(what, given)
    if inputs.ndim == 1 and inputs.dtype.kind in "iuf":
        raise UserError(f"the {what} have the shape {inputs.shape}: give [samples, features] or more axes.")
    if inputs.dtype == np.uint8:
        return inputs[..., np.newaxis] if inputs.ndim == 3 else inputs
    if inputs.dtype.kind in "iub":
        return _whole(what, inputs)
    if inputs.dtype.kind != "f":
        raise UserError(f"the {what} are {inputs.dtype}: give pixels (uint8), numbers or integer tokens.")
    return _finite(what, inputs)


def _targets(what: str, given: Any) -> np.ndarray:
    targets = _array(what, given)
    if targets.dtype.kind in "USO":
        raise UserError(
            f"the {what} are text or objects: give numbers; of classes, numbers from 0, for instance "
            "np.unique(y, return_inverse=True)[1]."
        )
    if targets.dtype.kind not in "iubf":
        raise UserError(f"the {what} are {targets.dtype}: give class numbers (integers) or numbers (floats).")
    if targets.dtype.kind == "f":
        return _finite(what, targets)
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.size and targets.min() < 0:
        raise UserError(
            f"the {what} go down to {_at(targets, targets.argmin())}: give class numbers from 0, or floats where they "
            "are no classes."
        )
    return _whole(what, targets)


def _whole(what: str, array: np.ndarray) -> np.ndarray:
    """Whole numbers as int32.

    Raises:
        UserError: They are beyond it.
    """
    limits = np.iinfo(np.int32)
    if array.size and not (limits.min <= array.min() and array.max() <= limits.max):
        raise UserError(
            f"the {what} run from {array.min()} to {array.max()}: give whole numbers of 32 bits, or floats where they "
            "are no classes or tokens."
        )
    return array.astype(np.int32)


def _finite(what: str, array: np.ndarray) -> np.ndarray:
    """Numbers as float32.

    Raises:
        UserError: A sample has one that is not finite.
    """
    with np.errstate(over="ignore"):  # what float32 has no room for is refused as well
        array = array.astype(np.float32, copy=False)
    finite = np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise UserError(
            f"the {what} are not finite (in float32) in {len(bad)} sample(s), the first is {bad[0]}: mend or "
            "leave out these samples."
        )
    return array


def _array(what: str, given: Any) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError as error:  # rows of different lengths
        raise UserError(f"the {what} are no array ({error}).") from error
    if not array.ndim:
        raise UserError(f"the {what} are one value: give an array [samples, ...].")
    return array
