"""What an object of a Python program is, as a hash: code, what it refers to, configurations, arrays."""

import functools
import hashlib
import inspect
import types
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.core import keras_internals

_DEEPEST = 12
_INSTALLED = ("builtins", "keras", "tensorflow", "numpy", "tf_fullbatch", "functools", "math")
"""Packages whose code is told by its name: versions are recorded beside the hashes."""


def fingerprint(part: Any) -> str:
    """SHA-256, hexadecimal, of what a function, a Keras object or a structure of arrays is.

    Of a function of the user's: its source or code, defaults, closure and the globals that it names; of a Keras object
    its configuration without names (which count up in a process) and, where its class is the user's, that class; of
    arrays their bytes. What is beyond that (files that a function reads, a module's attributes) is not seen.
    """
    digest = hashlib.sha256()
    _add(digest, part, 0, set())
    return digest.hexdigest()


def _add(digest: Any, part: Any, depth: int, seen: set[int]) -> None:
    kind = type(part)
    if part is None or isinstance(part, bool | int | float | complex | str | bytes):
        digest.update(f"{kind.__name__} {part!r};".encode())
        return
    if isinstance(part, np.ndarray | np.generic | tf.Tensor | tf.Variable | keras.Variable):
        array = np.asarray(part)
        digest.update(f"array {array.dtype} {array.shape};".encode())
        digest.update(array.tobytes() if array.dtype != object else repr(array.tolist()).encode())
        return
    digest.update(f"{kind.__module__}.{kind.__qualname__}(".encode())
    if depth < _DEEPEST and id(part) not in seen:
        for inside in _inside(part):
            _add(digest, inside, depth + 1, seen | {id(part)})
    digest.update(b")")


def _inside(part: Any) -> list[Any]:
    """What an object is made of."""
    if isinstance(part, Mapping):
        return [x for key in sorted(part, key=repr) for x in (key, part[key])]
    if isinstance(part, list | tuple):
        return list(part)
    if isinstance(part, set | frozenset):
        return sorted(part, key=repr)
    if isinstance(part, functools.partial):
        return [part.func, part.args, part.keywords]
    if isinstance(part, types.ModuleType):
        return [part.__name__]
    if isinstance(part, types.MethodType):
        return [part.__func__, part.__self__]
    if inspect.isclass(part):
        return (
            [part.__qualname__]
            if _is_installed(part)
            else [part.__qualname__, _source(part), *part.__bases__]
        )
    if isinstance(part, types.FunctionType):
        return [part.__qualname__] if _is_installed(part) else _of_function(part)
    if isinstance(part, types.CodeType):
        return [part.co_code, part.co_consts, part.co_names]
    if isinstance(part, keras.Model):
        return [type(part), *([_config(layer)] for layer in keras_internals.layers_of(part))]
    if hasattr(part, "get_config"):
        return [_config(part)]
    return [type(part), vars(part)] if hasattr(part, "__dict__") else [type(part), repr(type(part))]


def _of_function(function: types.FunctionType) -> list[Any]:
    names = _names(function.__code__)
    used = {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    return [_source(function), function.__defaults__, function.__kwdefaults__, cells, used]


def _names(code: types.CodeType) -> set[str]:
    """Names that code and the code within it look up."""
    inside = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return set(code.co_names).union(*map(_names, inside)) if inside else set(code.co_names)


def _config(part: Any) -> list[Any]:
    """What Keras says that a layer or loss is; of a class of the user's own also its code."""
    own: list[Any] = [] if _is_installed(type(part)) else [type(part)]
    # Keras' Huber leaves its delta out of its configuration.
    own.append(getattr(part, "_fn_kwargs", None))
    try:
        return [type(part).__qualname__, _nameless(part.get_config()), *own]
    except NotImplementedError:
        return [type(part).__qualname__, type(part)]


def _nameless(config: Any) -> Any:
    if isinstance(config, Mapping):
        return {key: _nameless(value) for key, value in config.items() if key not in ("name", "layers")}
    return [_nameless(part) for part in config] if isinstance(config, list | tuple) else config


def _source(part: Any) -> Any:
    try:
        return inspect.getsource(part)
    except (OSError, TypeError):  # typed in at a prompt
        return getattr(part, "__code__", None) or [
            member for _, member in sorted(vars(part).items()) if isinstance(member, types.FunctionType)
        ]


def _is_installed(part: Any) -> bool:
    return (part.__module__ or "").partition(".")[0] in _INSTALLED


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
