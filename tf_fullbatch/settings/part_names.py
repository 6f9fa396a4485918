"""Parts of a run named by where their code or files stand; what a name says, without looking there.

`keras:NAME` is one of Keras' own; `FILE.py:function` and `package.module:function` are the user's.
"""

from pathlib import Path
from typing import NamedTuple

from tf_fullbatch.errors import UserError

OWN = "FILE.py:function or package.module:function"
"""How a setting names code of the user's."""
ACCEPTED = f"keras:NAME, {OWN}"
"""What a setting accepts beside its built-in names."""
_WITHOUT_KERAS = ("augmentation", "dataset")
"""Settings of which Keras has no parts: its random layers draw from a state of their own."""


def accepted(setting: str) -> str:
    """What a setting accepts beside its built-in names."""
    return OWN if setting in _WITHOUT_KERAS else ACCEPTED


class Source(NamedTuple):
    """Where a part's code stands.

    Attributes:
        kind: "keras", "file", "module", or "python": an object that a Python program gives.
        place: The file or module; "" for others.
        name: Of the function, or Keras' name.
    """

    kind: str
    place: str
    name: str

    @property
    def is_users(self) -> bool:
        """Whether it is code of the user's own."""
        return self.kind != "keras"


def names_code(value: str) -> bool:
    """Whether a setting's value names code, rather than a built-in part."""
    return _parsed(value) is not None


def is_users_code(value: str) -> bool:
    """Whether a value names a function of the user's: `FILE.py:function` or `package.module:function`."""
    source = _parsed(value)
    return source is not None and source.is_users


def is_object(value: str) -> bool:
    """Whether a value stands for an object that a Python program gives, see `given_parts`."""
    return value.startswith("python:")


def is_npz(value: str) -> bool:
    """Whether a value names a file of arrays that NumPy saved."""
    return value.endswith(".npz")


def is_csv(value: str) -> bool:
    """Whether a value names a table of comma-separated values."""
    return value.endswith(".csv")


def is_folder(value: str) -> bool:
    """Whether a value names a folder: it ends with a slash, or begins as a path does."""
    return value.endswith("/") or value.startswith(("/", "./", "../", "~"))


def source_of(setting: str, value: str) -> Source:
    """Where a value says that code stands.

    Raises:
        UserError: It is no name of that kind.
    """
    source = _parsed(value)
    if source is None:
        raise UserError(f"--{setting}={value}: give a built-in name, {accepted(setting)}.")
    return source


def absolute(value: str) -> str:
    """A value with its file as an absolute path, so that it names the same from any working folder."""
    if is_npz(value) or is_csv(value):
        return str(Path(value).expanduser().resolve())
    if is_folder(value) and not is_users_code(value):
        return f"{Path(value).expanduser().resolve()}/"
    place, _, name = value.rpartition(":")
    return f"{Path(place).expanduser().resolve()}:{name}" if place.endswith(".py") else value


def shortened(value: str) -> str:
    """A value to be shown: without the folders of its file."""
    if is_npz(value) or is_csv(value) or value.endswith("/"):
        return Path(value).name
    place, _, name = value.rpartition(":")
    return f"{Path(place).name}:{name}" if place.endswith(".py") else value


def _parsed(value: str) -> Source | None:
    """Where a value says that code stands; None where it names none."""
    place, _, name = value.rpartition(":")
    if not name.isidentifier():
        return None
    if place in ("keras", "python"):
        return Source(place, "", name)
    if place.endswith(".py"):
        return Source("file", place, name)
    return Source("module", place, name) if all(part.isidentifier() for part in place.split(".")) else None
