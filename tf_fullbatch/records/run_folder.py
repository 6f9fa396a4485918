"""What a run writes down: its files, and how they are written and read back."""

import contextlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tf_fullbatch.errors import UserError
from tf_fullbatch.records.columns import Column, Record, Value

_TAIL_BYTES = 8192


class RunFolder:
    """The named files of a run's output folder; creates nothing by itself."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.flags = self.path / "run.flags"
        self.metrics = self.path / "metrics.csv"
        self.evaluations = self.path / "evaluations.csv"
        self.summaries = self.path / "summaries"
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model.keras"
        self.summary = self.path / "summary.json"
        self.curves = self.path / "curves.png"
        self.lock = self.path / ".lock"

    def create(self) -> Self:
        """Makes the folder where it is missing; raises `UserError` where it cannot be made."""
        with naming_failures(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        return self


@contextlib.contextmanager
def naming_failures(path: str | os.PathLike[str]) -> Iterator[None]:
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
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    with naming_failures(path):
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Writes `content` as JSON, whole or not at all.

    JSON has no NaN and no infinities: they are written as the strings "nan", "inf" and "-inf", which
    `float()` reads back. NumPy scalars become numbers, tuples lists, paths strings.
    """
    write_text(path, json.dumps(_jsonable(content), indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: Where the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{os.fspath(path)} is not valid JSON ({error}). Restore the file or delete it."
        ) from error


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


def tail_lines(path: str | os.PathLike[str], offset: int = 0) -> list[str]:
    """The last lines of a text file that may be long, of some thousand characters in all; the first may be cut.

    Args:
        path: The file; what cannot be read has no lines.
        offset: Bytes at its beginning that do not count.
    """
    try:
        with Path(path).open("rb") as file:
            file.seek(max(offset, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines(keepends=True)
    except OSError:
        return []


class CsvRecorder:
    """Appends records to a CSV file, one complete line each, so that a killed process loses no earlier line.

    A file that is already there is continued: its rows after `resume_step` are dropped, and so is a last line
    that was cut short. Use it as a context manager or call `close`.

    Args:
        path: The file.
        columns: Its columns, in order; one of them is `step`.
        resume_step: The step after which training starts again; 0 starts a new table.

    Raises:
        UserError: The file has other columns, is damaged, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], columns: Sequence[Column], resume_step: int = 0):
        self._path = Path(path)
        self._columns = tuple(columns)
        self._names = {column.name for column in columns}
        kept: list[dict[str, Value]] = []
        if self._path.exists():
            kept = [row for row in read_csv(self._path, columns) if int(row["step"]) <= resume_step]
        write_text(self._path, "".join([self._header(), *map(self._line, kept)]))
        with naming_failures(self._path):
            self._file = self._path.open("a", encoding="utf-8", newline="")

    def append(self, record: Record) -> None:
        """Writes one row and hands it to the operating system; missing and None values stay blank."""
        unknown = sorted(set(record) - self._names)
        if unknown:
            raise ValueError(
                f"{self._path.name} has no column {', '.join(unknown)}; it has {self._header().strip()}"
            )
        with naming_failures(self._path):
            self._path.stat()  # a file that was removed would swallow its rows without a word
            self._file.write(self._line(record))
            self._file.flush()

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        with naming_failures(self._path):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _header(self) -> str:
        return ",".join(column.name for column in self._columns) + "\n"

    def _line(self, record: Record) -> str:
        return ",".join(_cell(record.get(column.name), column) for column in self._columns) + "\n"


def _cell(value: Value | None, column: Column) -> str:
    if value is None:
        return ""
    # repr of a Python float is the shortest text that reads back as the same float.
    text = repr(float(value)) if column.kind is float else str(column.kind(value))
    if any(mark in text for mark in ',"\r\n'):
        raise ValueError(f"column {column.name} got {text!r}; commas, quotes and line ends are not accepted")
    return text


def read_csv(path: str | os.PathLike[str], columns: Iterable[Column]) -> list[dict[str, Value]]:
    """The rows of a file of `CsvRecorder`; blank cells are absent from a row.

    A last line without its line end was cut short by a killed process and is left out.

    Raises:
        UserError: The file cannot be read, has other columns, or a line that does not parse.
    """
    columns = tuple(columns)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot read {os.fspath(path)}: {reason}") from error
    lines = text[: text.rfind("\n") + 1].splitlines()
    if not lines:
        return []
    names = [column.name for column in columns]
    if lines[0].split(",") != names:
        raise UserError(
            f"{os.fspath(path)} has the columns {lines[0]}; expected {','.join(names)}. Another version "
            "wrote it: move it away or choose another --output_dir."
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            rows.append(_row(line, columns))
        except ValueError as error:
            raise UserError(
                f"{os.fspath(path)}, line {number} is damaged ({error}). Restore it, or delete "
                "the run's folder to run it anew."
            ) from error
    return rows


def _row(line: str, columns: Sequence[Column]) -> dict[str, Value]:
    if '"' in line:  # `_cell` writes none
        raise ValueError("a quote")
    pairs = zip(columns, line.split(","), strict=True)
    row: dict[str, Value] = {column.name: column.kind(cell) for column, cell in pairs if cell}
    if "step" not in row and any(column.name == "step" for column in columns):
        raise ValueError("no step")
    return row
