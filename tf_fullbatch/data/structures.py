"""Arrays and structures of them: what inputs, targets and sample weights may be."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_fullbatch.data.encoded import EncodedImages
from tf_fullbatch.errors import UserError


def is_structure(data: Any) -> bool:
    """Whether data are several arrays: a dictionary, or a list or tuple with arrays in it (not a list of numbers)."""
    return isinstance(data, Mapping) or (
        isinstance(data, list | tuple) and any(len(getattr(part, "shape", ())) for part in data)
    )


def as_arrays(data: Any, name: str) -> Any:
    """An array, or a tuple or dictionary of arrays; images that stay in their files as they are.

    Args:
        data: Anything that NumPy makes an array of, or a list, a tuple or a dictionary of such.
        name: What they are, for messages.

    Raises:
        UserError: A structure within a structure, or None in one.
    """
    if isinstance(data, Mapping):
        return {key: _array(part, name) for key, part in data.items()}
    if isinstance(data, EncodedImages):
        return data
    return tuple(_array(part, name) for part in data) if is_structure(data) else np.asarray(data)


def _array(part: Any, name: str) -> np.ndarray:
    if part is None:
        raise UserError(f"The {name} hold None: give an array for each (of sample weights, ones).")
    if is_structure(part):
        raise UserError(
            f"The {name} are a structure within a structure: give one array, a list, a tuple or a dictionary of arrays."
        )
    return np.asarray(part)
