"""The user's code and files that settings name: found, hashed, imported and called."""

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.given_parts import given
from tf_fullbatch.settings.part_names import accepted, is_csv, is_npz, is_object, is_users_code, source_of

_PACKAGES = {"keras_hub": "keras-hub"}
"""Packages whose parts the documents name, by what they are installed as."""


def file_of(setting: str, value: str) -> Path | None:
    """The user's file that a value names; None for Keras' and for objects.

    Raises:
        UserError: There is no such file or module.
    """
    source = source_of(setting, value)
    if source.kind in ("keras", "python"):
        return None
    if source.kind == "file":
        path = Path(source.place)
        if not path.is_file():
            raise UserError(f"--{setting}={value}: there is no file {path}. Give {accepted(setting)}.")
        return path
    try:
        found = importlib.util.find_spec(source.place)
    except (ImportError, ValueError):
        found = None
    if found is None or not found.has_location or not found.origin:
        why = f"there is no module {source.place}" if found is None else f"{source.place} has no file of code"
        package = source.place.partition(".")[0]
        if package in _PACKAGES and importlib.util.find_spec(package) is None:
            raise UserError(
                f"--{setting}={value}: {why}, for {package} is not installed: pip install {_PACKAGES[package]}."
            )
        raise UserError(
            f"--{setting}={value}: {why} (looked for along Python's path). Give {accepted(setting)}."
        )
    return Path(found.origin)


def file_hash(setting: str, value: str) -> str | None:
    """SHA-256 of the user's file or object that a value names, code or arrays; None where it names none.

    Of a folder, that of the names and sizes of the files within.

    Raises:
        UserError: It cannot be read.
    """
    if is_object(value):
        return given(setting, value).digest
    if is_npz(value) or is_csv(value):
        path: Path | None = Path(value)
    else:
        path = file_of(setting, value) if is_users_code(value) else None
    try:
        if value.endswith("/"):
            return _folder_hash(Path(value))
        if path is None:
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"--{setting}={value}: cannot read {path or value} ({error.strerror}).") from error


def function_of(setting: str, value: str) -> Callable[..., Any]:
    """The user's function that a value names; imports its file.

    Raises:
        UserError: The file cannot be imported, or has no such function.
    """
    source, path = source_of(setting, value), file_of(setting, value)
    if is_object(value):
        return given(setting, value).function
    assert path is not None
    try:
        module = _imported(path) if source.kind == "file" else importlib.import_module(source.place)
    except (Exception, SystemExit) as error:
        raise _failed(setting, value, "cannot be imported", error, path) from error
    if source.kind == "module":
        _refuse_stale(setting, value, module, path)
    function = getattr(module, source.name, None)
    if not callable(function):
        raise UserError(
            f"--{setting}={value}: {path.name} has no function or class {source.name!r}; "
            f"{_instead(source.name, module)}"
        )
    return function


def _instead(name: str, module: types.ModuleType) -> str:
    """What a module has that a name may have meant: those near it; else all that are its own."""
    there = {
        other: member
        for other, member in vars(module).items()
        if not other.startswith("_") and (inspect.isfunction(member) or inspect.isclass(member))
    }
    near = difflib.get_close_matches(name, there)
    if near:
        return f"did you mean {' or '.join(near)}?"
    own = sorted(other for other, member in there.items() if member.__module__ == module.__name__)
    return f"it has {', '.join(own) or 'none'}."


def module_of(function: Any) -> types.ModuleType | None:
    """The module that has a function under its name, so that another process finds it there; else None.

    That is of functions within others, of those of the program itself (`__main__`), and of what has no name.
    """
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    there = module is not None and getattr(module, getattr(function, "__name__", ""), None) is function
    return module if there and function.__module__ != "__main__" else None


def is_part_itself(
    function: Callable[..., Any], ours: Iterable[str], of_the_part: Iterable[str], options: Mapping[str, Any]
) -> bool:
    """Whether a function is a part itself, which takes other arguments than one that makes a part.

    Args:
        function: The user's.
        ours: Names of what a function that makes the part is called with.
        of_the_part: Names of what the part is called with.
        options: Of the user; both may take them.
    """
    signature = inspect.signature(function)

    def takes(names: Iterable[str]) -> bool:
        try:
            signature.bind(*names, **options)
        except TypeError:
            return False
        return True

    return takes(of_the_part) and not takes(ours)


def called(
    setting: str,
    value: str,
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Any:
    """What a function gives for our arguments, in their order, and the options of the user.

    Raises:
        UserError: It does not take them, or fails.
    """
    try:
        inspect.signature(function).bind(*arguments.values(), **options)
    except TypeError as error:
        takes = f"{function.__name__}{inspect.signature(function)}"
        raise UserError(
            f"--{setting}={value} is called with ({', '.join(arguments)}) and --{setting}_options, but {takes} does "
            f"not take that: {error}."
        ) from error
    try:
        return function(*arguments.values(), **options)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        path = file_of(setting, value)
        raise _failed(setting, value, "failed", error, path) from error


def _folder_hash(folder: Path) -> str:
    digest, separator = hashlib.sha256(), b""
    for line in _lines_of(folder, ""):  # one folder's names in memory at a time: there may be millions
        digest.update(separator + os.fsencode(line))
        separator = b"\n"
    return digest.hexdigest()


def _lines_of(folder: Path, inside: str) -> Iterator[str]:
    """Path and size of each file that is not hidden, in the order of the paths' parts."""
    with os.scandir(folder) as found:
        entries = sorted((e for e in found if not e.name.startswith(".")), key=lambda e: e.name)
    for entry in entries:
        name = f"{inside}{entry.name}"
        if entry.is_dir():
            yield from _lines_of(Path(entry.path), f"{name}/")
        else:
            yield f"{name} {entry.stat().st_size}"


def _imported(path: Path) -> Any:
    """A file as a module, once for each state of the file."""
    digest = hashlib.sha256(str(path.absolute()).encode() + path.read_bytes()).hexdigest()[:12]
    name = f"{re.sub(r'[^0-9a-zA-Z_]', '_', path.stem)}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def failure_of(setting: str, value: str, error: Exception) -> UserError | None:
    """One line of an error that came up in the user's file of this setting; None where it did not."""
    path = file_of(setting, value) if is_users_code(value) else None
    if path is None or not _frames(error, path):
        return None
    return _failed(setting, value, "failed", error, path)


def _frames(error: BaseException, path: Path) -> list[traceback.FrameSummary]:
    """The steps of an error's way that lie in a file."""
    return [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.absolute()]


def _refuse_stale(setting: str, value: str, module: types.ModuleType, path: Path) -> None:
    """Refuses a module whose file has changed since Python imported it: the old code would run.

    Raises:
        UserError: A function of it is another by now.
    """
    try:
        now = {code.co_qualname: code for code in _codes(compile(path.read_bytes(), str(path), "exec"))}
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"--{setting}={value}: cannot read {path} ({error}).") from error
    for name, member in vars(module).items():
        own = inspect.isfunction(member) and member.__module__ == module.__name__
        if own and not hasattr(member, "__wrapped__") and now.get(member.__qualname__) != member.__code__:
            raise UserError(
                f"--{setting}={value}: {path.name} has changed since Python imported it ({name} is another by now): "
                "restart Python."
            )


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield const
            yield from _codes(const)


def _failed(setting: str, value: str, how: str, error: BaseException, path: Path | None) -> UserError:
    """One line of an error in the user's code, with the line of their file where it came up."""
    frames = _frames(error, path) if path else []
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    if line is None and frames:
        line = frames[-1].lineno
    where = f"{path.name}, line {line}: " if path and line else ""
    said = " ".join(str(error).split())[:300]
    return UserError(f"--{setting}={value} {how}: {where}{type(error).__name__}{': ' if said else ''}{said}")
