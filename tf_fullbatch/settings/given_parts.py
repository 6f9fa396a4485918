"""Parts that a Python program gives as objects: settings call them `python:NAME`."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tf_fullbatch.errors import UserError


class Given(NamedTuple):
    """An object in the place of the user's function in a file.

    Attributes:
        function: What that function would be.
        digest: Hexadecimal SHA-256 of what the object is; a run is gone on with the same alone.
    """

    function: Callable[..., Any]
    digest: str


_GIVEN: contextvars.ContextVar[Mapping[str, Given] | None] = contextvars.ContextVar("given", default=None)


@contextlib.contextmanager
def giving(parts: Mapping[str, Given]) -> Iterator[None]:
    """Has settings (such as "model") find these objects for a while."""
    token = _GIVEN.set(parts)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def given(setting: str, value: str) -> Given:
    """The object of a setting whose value is `python:NAME`.

    Raises:
        UserError: None is given now.
    """
    if problem := not_given({setting: value}):
        raise UserError(problem)
    return (_GIVEN.get() or {})[setting]


def not_given(values: Mapping[str, str]) -> str:
    """A line for the user on the settings, of values `python:NAME`, that have no object now; "" where all have one."""
    lacking = [
        f"--{setting}={value}" for setting, value in values.items() if setting not in (_GIVEN.get() or {})
    ]
    if not lacking:
        return ""
    stand, them = ("stand for objects", "them") if len(lacking) > 1 else ("stands for an object", "it")
    where = f"give {them} there, to tf_fullbatch.train() or open_run()"
    return f"{', '.join(lacking)} {stand} of a Python program: {where}."
