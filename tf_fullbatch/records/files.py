"""Files that are written whole or not at all, and JSON with what it does not know of its own accord."""

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tf_fullbatch.errors import UserError


@contextlib.contextmanager
def os_errors_as_user_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns an `OSError` of writing into a one-line `UserError` with the path and the system's reason."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write {os.fspath(path)}: {reason}. Free space there, correct its permissions, or choose "
            "another --output_dir."
        ) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` as UTF-8, whole or not at all, see `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file so that at any time it holds either the old content or the whole new one.

    Raises:
        UserError: Where the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.aside")
    with os_errors_as_user_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Writes `content` as JSON, whole or not at all.

    JSON has no NaN and no infinities: they are written as the strings "nan", "inf" and "-inf", which
    `float()` reads back. NumPy scalars become numbers, tuples lists, paths strings.
    """
    write_text(path, json.dumps(_jsonable(content), indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike[str], advice: str = "Restore the file or delete it.") -> Any:
    """The content of a JSON file.

    Args:
        path: The file.
        advice: What to do where it is damaged.

    Raises:
        UserError: Where the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{os.fspath(path)} is damaged: not valid JSON ({error}). {advice}") from error


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def last_lines(path: str | os.PathLike[str], offset: int = 0, most_bytes: int = 8192) -> list[str]:
    """The last lines of a text file that may be long; the first may be cut.

    Args:
        path: The file; what cannot be read has no lines.
        offset: Bytes at its beginning that do not count.
        most_bytes: How much of it is read.
    """
    try:
        with Path(path).open("rb") as file:
            file.seek(max(offset, os.fstat(file.fileno()).st_size - most_bytes))
            return file.read().decode(errors="replace").splitlines(keepends=True)
    except OSError:
        return []
