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
    found = (_GIVEN.get() or {}).get(setting)
    if found is None:
        raise UserError(
            f"--{setting}={value} stands for an object of a Python program: give it there, to tf_fullbatch.train() or "
            "open_run()."
        )
    return found
