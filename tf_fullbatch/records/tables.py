"""The tables of a run, metrics.csv and evaluations.csv: one writer and one reader."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tf_fullbatch.errors import UserError
from tf_fullbatch.records.columns import Column, Record, Value
from tf_fullbatch.records.files import last_lines, os_errors_as_user_errors, write_text

if TYPE_CHECKING:  # pandas takes half a second to import: it is loaded when a table is read
    import pandas as pd


class TableWriter:
    """Appends records to a CSV file, one complete line each, so that a killed process loses no earlier line.

    A file that is already there is continued: its rows after `resume_step` are dropped, and so is a last line that was
    cut short; columns that an older version did not write are added, blank in its rows. Use it as a context manager or
    call `close`.

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
        kept = _lines_up_to(self._path, columns, resume_step) if self._path.exists() else []
        write_text(self._path, "".join([self._header(), *kept]))
        with os_errors_as_user_errors(self._path):
            self._file = self._path.open("a", encoding="utf-8", newline="")

    def append(self, record: Record) -> None:
        """Writes one row and hands it to the operating system; missing and None values stay blank."""
        self.append_many([record])

    def append_many(self, records: Iterable[Record]) -> None:
        """Writes a row per record and hands all of them to the operating system at once."""
        lines = [self._line(record) for record in records]
        with os_errors_as_user_errors(self._path):
            self._path.stat()  # a file that was removed would swallow its rows without a word
            self._file.write("".join(lines))
            self._file.flush()

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        with os_errors_as_user_errors(self._path):
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
        if not record.keys() <= self._names:
            unknown = ", ".join(sorted(set(record) - self._names))
            raise ValueError(f"{self._path.name} has no column {unknown}; it has {self._header().strip()}")
        return ",".join([_cell(record.get(column.name), column) for column in self._columns]) + "\n"


def _cell(value: Value | None, column: Column) -> str:
    if value is None:
        return ""
    # repr of a Python float is the shortest text that reads back as the same float.
    text = repr(float(value)) if column.kind is float else str(column.kind(value))
    if column.kind is str and any(mark in text for mark in ',"\r\n'):
        raise ValueError(f"column {column.name} got {text!r}; commas, quotes and line ends are not accepted")
    return text


def _lines_up_to(path: Path, columns: Sequence[Column], step: int) -> list[str]:
    """The lines of a table's rows up to a step, as they stand, with blank cells for the columns that are new."""
    table = read_table(path, columns)  # refuses what is damaged
    header, *lines = [line.decode() for line in io.BytesIO(_whole_lines(path))] or [""]
    missing = [k for k, column in enumerate(columns) if column.name not in header.strip().split(",")]
    kept = []
    for line, at in zip(lines, table["step"], strict=True):
        cells = line.split(",")
        for k in missing:
            cells.insert(k, "")
        kept += [",".join(cells)] if at <= step else []
    return kept


def read_table(
    path: str | os.PathLike[str],
    columns: Iterable[Column],
    names: Sequence[str] | None = None,
    *,
    as_floats: bool = False,
) -> "pd.DataFrame":
    """The rows of a file of `TableWriter`: integers `Int64`, other numbers `float64`, text `str`; blanks are missing.

    A last line without its line end was cut short by a killed process and is left out.

    Args:
        path: The file.
        columns: Its columns. Those that older versions did not write may be missing from it: they are blank then.
        names: The columns wanted; None for all. Cells of other columns are not looked at.
        as_floats: Whether integers are read as `float64` too, whatever they are.

    Raises:
        UserError: The file cannot be read, has other columns, or a line that does not parse.
    """
    import pandas as pd

    columns = tuple(columns)
    content = _whole_lines(path)
    if not content:
        content = (",".join(column.name for column in columns) + "\n").encode()
    written = _written_columns(path, content, columns)
    wanted = [column for column in columns if names is None or column.name in names]
    numbers = {int: "float64" if as_floats else "Int64", float: "float64"}
    kinds = {column.name: numbers.get(column.kind, "str") for column in wanted}
    read = [column.name for column in wanted if column in written]
    try:
        _check_cells(content, written)
        table = pd.read_csv(
            io.BytesIO(content),
            usecols=read,
            dtype={name: kinds[name] for name in read},
            na_values={column.name: ["", "nan"] for column in wanted if column.kind is not str},
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,
            lineterminator="\n",
        )
        if "step" in table and table["step"].isna().any():
            raise ValueError("no step")
    except (ValueError, OverflowError) as error:
        where = _first_damage(content, [column if column in wanted else None for column in written])
        raise UserError(
            f"{os.fspath(path)}, {where or f'a line is damaged ({error})'}. Restore it, or delete the run's folder to "
            "run it anew."
        ) from error
    lacking = {name: kind for name, kind in kinds.items() if name not in read}
    table = table.reindex(columns=list(kinds))
    return table.astype(lacking) if lacking else table


def no_rows(columns: Iterable[Column]) -> "pd.DataFrame":
    """A table as `read_table` gives it, without a row."""
    import pandas as pd

    kinds = {int: "Int64", float: "float64", str: "str"}
    return pd.DataFrame({column.name: pd.Series(dtype=kinds[column.kind]) for column in columns})


def last_row(path: str | os.PathLike[str]) -> dict[str, str]:
    """The last whole row of a table, column -> cell, from the file's two ends alone; empty where there is none."""
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            header = file.readline()
    except OSError:
        return {}
    whole = [line for line in last_lines(path, len(header.encode())) if line.endswith("\n")]
    names, cells = header.rstrip("\n").split(","), whole[-1].rstrip("\n").split(",") if whole else []
    return dict(zip(names, cells, strict=True)) if len(names) == len(cells) else {}


def _whole_lines(path: str | os.PathLike[str]) -> bytes:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    return content[: content.rfind(b"\n") + 1].replace(b"\r\n", b"\n")


def _written_columns(
    path: str | os.PathLike[str], content: bytes, columns: Sequence[Column]
) -> tuple[Column, ...]:
    """The columns that a table's first line names."""
    names = content.partition(b"\n")[0].decode(errors="replace").split(",")
    if names == [column.name for column in columns if column.name in names or not column.optional]:
        return tuple(column for column in columns if column.name in names)
    lacks = ", ".join(c.name for c in columns if c.name not in names and not c.optional) or "nothing"
    known = {column.name for column in columns}
    unknown = ", ".join(name for name in names if name not in known) or "nothing"
    raise UserError(
        f"{os.fspath(path)} is damaged or of another version: of its columns it lacks {lacks}, and {unknown[:200]} is "
        "unknown. Move it away or choose another --output_dir."
    )


def _check_cells(content: bytes, written: Sequence[Column]) -> None:
    """Refuses what `TableWriter` never writes and pandas would accept: lines of too few cells, and quotes."""
    commas = len(written) - 1
    if b'"' in content or b"\r" in content or any(line.count(b",") != commas for line in io.BytesIO(content)):
        raise ValueError("cells")


def _first_damage(content: bytes, columns: Sequence[Column | None]) -> str | None:
    """Which line of a table is damaged, and why; cells of a column None are not looked at."""
    for number, line in enumerate(content.decode(errors="replace").split("\n")[1:-1], start=2):
        try:
            for column, cell in zip(columns, line.split(","), strict=True):
                if '"' in cell or "\r" in cell:
                    raise ValueError("a quote or a line end within it")
                if column is not None and column.name == "step" and not cell:
                    raise ValueError("no step")
                if column is not None and cell:
                    column.kind(cell)
        except ValueError as error:
            return f"line {number} is damaged ({error})"
    return None
