"""What targets must be before a network is trained on them."""

import numpy as np

from tf_fullbatch.errors import UserError


def check_targets(targets: np.ndarray, classes: int | None = None, ignored: int | None = None) -> None:
    """Refuses targets that are no numbers, or no classes of a sparse cross-entropy.

    Out of range, TensorFlow's cross-entropy gives NaN on a GPU and stops in the middle of a step on a CPU.

    Args:
        targets: `[samples]` or `[samples, ...]`.
        classes: C, outputs of the network, where the loss takes class numbers 0 to C - 1; None where it does not.
        ignored: A class number that the loss leaves out (Keras' `ignore_class`).

    Raises:
        UserError: Text, Python objects or other things than real numbers; classes that are no whole numbers or
            out of range; a cross-entropy over a single output.
    """
    if targets.dtype.kind in "US":
        raise UserError(
            f"The targets are text, the first is {str(targets.ravel()[0])!r}: give class numbers from 0, for instance "
            "np.unique(y, return_inverse=True)[1]."
        )
    if targets.dtype.kind == "O":
        raise UserError(
            f"The targets are an array of Python objects, the first a {type(targets.ravel()[0]).__name__}: give "
            "numbers of one type, for instance np.array(y.tolist())."
        )
    if targets.dtype.kind in "cmM" or targets.dtype.names:
        raise UserError(f"The targets are of dtype {targets.dtype}: give real numbers or class numbers.")
    if classes is not None:
        _check_classes(targets, classes, ignored)


def _check_classes(targets: np.ndarray, classes: int, ignored: int | None) -> None:
    if classes == 1:
        raise UserError(
            "A cross-entropy over one output is always 0, whatever the weights: give the network one output per class, "
            "or use a binary cross-entropy."
        )
    numbers = targets if ignored is None else targets[targets != ignored]
    if not numbers.size:
        return
    if numbers.dtype.kind == "f":
        fractions = numbers[~np.isfinite(numbers) | (numbers != np.floor(numbers))]
        if fractions.size:
            raise UserError(
                f"The targets hold {fractions.flat[0]}, but this loss takes class numbers, 0 to {classes - 1}: give "
                "whole numbers, or use another loss."
            )
    lowest, highest = int(numbers.min()), int(numbers.max())
    if lowest < 0 or highest >= classes:
        shift = f"subtract {lowest}" if 0 <= highest - lowest < classes else f"give it {highest + 1} outputs"
        raise UserError(
            f"The targets run from {lowest} to {highest}, but with {classes} outputs the network knows the classes 0 "
            f"to {classes - 1}: {shift.replace('subtract -', 'add ')}."
        )
