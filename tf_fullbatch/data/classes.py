"""Which classes --classes names: the first so many, or a list by number or name."""

import difflib
from collections.abc import Sequence

from tf_fullbatch.errors import UserError

_FEW = 10
"""Names that a message lists whole."""


def class_entries(value: str) -> int | list[str]:
    """How many of the first classes (int), or the entries of a list.

    Raises:
        UserError: It is neither a number of at least 2 nor a list of at least two.
    """
    entries = [entry.strip() for entry in value.split(",")]
    if len(entries) == 1 and entries[0].isdecimal() and int(entries[0]) >= 2:
        return int(entries[0])
    if len(entries) < 2 or not all(entries) or len(set(entries)) < len(entries):
        raise UserError(
            f"--classes={value}: give how many of the first classes, at least 2, or at least two class numbers or "
            "names, such as 3,5 or cat,dog, each once."
        )
    return entries


def class_numbers(value: str, dataset: str, num_classes: int, names: Sequence[str] | None) -> list[int]:
    """The numbers of the classes to keep, in the order in which they are numbered then.

    Args:
        value: Of --classes.
        dataset: Of --dataset, for messages.
        num_classes: C of the data set.
        names: Names of its classes, where they are known.

    Raises:
        UserError: Classes that the data set has not.
    """
    entries = class_entries(value)
    if isinstance(entries, int):
        if entries > num_classes:
            raise UserError(
                f"--classes={value}: --dataset={dataset} has {num_classes} classes; accepted are 2 to {num_classes}."
            )
        return list(range(entries))
    found = [_number(value, entry, dataset, num_classes, names) for entry in entries]
    if len(set(found)) < len(found):
        raise UserError(
            f"--classes={value}: a class comes twice, by its number and its name; name each once."
        )
    return found


def _number(value: str, entry: str, dataset: str, num_classes: int, names: Sequence[str] | None) -> int:
    if entry.isdecimal() and int(entry) < num_classes:
        return int(entry)
    if names is not None and entry in names:
        return list(names).index(entry)
    known = f"the numbers 0 to {num_classes - 1}"
    if names is not None:
        close = difflib.get_close_matches(entry, names, 3, 0.5) or list(names[:5])
        shown = names if len(names) <= _FEW else close
        known += f" and the names {', '.join(shown)}{' and others' if len(shown) < len(names) else ''}"
    raise UserError(f"--classes={value}: --dataset={dataset} has no class {entry!r}; accepted are {known}.")
