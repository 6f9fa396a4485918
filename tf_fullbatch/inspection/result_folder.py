"""A folder of results: found again by the settings it was made with, never written over by others."""

import csv
import io
import itertools
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection.base import Figure
from tf_fullbatch.records.files import (
    os_errors_as_user_errors,
    read_json,
    write_bytes,
    write_json,
    write_text,
)
from tf_fullbatch.version import __version__

if TYPE_CHECKING:  # NumPy takes a tenth of a second to import
    import numpy as np

_SETTINGS, _FIGURES, _CSV = "settings.json", "figures.json", "figures.csv"


class ResultFolder:
    """Results of one question: settings.json, figures.json and figures.csv, arrays, tables and pictures.

    Nothing is made before the first file is written.

    Args:
        path: The folder.
        settings: All that the results depend on, JSON's types.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]):
        self.path = path
        self.settings = json.loads(json.dumps(settings))

    @classmethod
    def of(cls, parent: Path, name: str, settings: Mapping[str, Any]) -> "ResultFolder":
        """The folder of these settings: the one that is there, or the first free name of NAME, NAME-2, NAME-3.

        Raises:
            UserError: A folder there cannot be read.
        """
        for number in itertools.count(1):
            found = cls(parent / (name if number == 1 else f"{name}-{number}"), settings)
            with os_errors_as_user_errors(found.path):
                there = found.path.exists()
            if not there or found._is_of_these_settings():
                return found
        raise AssertionError

    def _is_of_these_settings(self) -> bool:
        try:
            return read_json(self.path / _SETTINGS) == self.settings
        except UserError:  # somebody else's folder, or a damaged one
            return False

    @property
    def exists(self) -> bool:
        """Whether anything is kept."""
        return (self.path / _SETTINGS).exists()

    @property
    def is_complete(self) -> bool:
        """Whether the answer is there."""
        return (self.path / _FIGURES).exists()

    def read_figures(self) -> tuple[list[Figure], float]:
        """The figures, and the gradient evaluations that they took.

        Raises:
            UserError: The file is damaged.
        """
        content = read_json(self.path / _FIGURES, "Delete its folder and ask again.")
        try:
            rows = [
                Figure(
                    str(row["quantity"]),
                    float(row["value"]),
                    str(row["of"]),
                    _number(row["standard_error"]),
                    str(row["remark"]),
                )
                for row in content["figures"]
            ]
            return rows, float(content["gradient_evaluations"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{self.path / _FIGURES} is damaged ({error!r}): delete its folder and ask again."
            ) from error

    def write_figures(self, figures: Sequence[Figure], gradient_evaluations: float) -> None:
        """Writes the answer, after all other files of it."""
        columns: dict[str, Sequence[Any]] = {
            "quantity": [figure.quantity for figure in figures],
            "of": [figure.of for figure in figures],
            "value": [figure.value for figure in figures],
            "standard_error": [figure.standard_error for figure in figures],
            "remark": [figure.remark for figure in figures],
        }
        self.write_table(_CSV, columns)
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        content = {
            "figures": rows,
            "gradient_evaluations": gradient_evaluations,
            "version": __version__,
        }
        write_json(self.file(_FIGURES), content)

    def write_table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Writes columns of the same length as CSV; None is a blank cell."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow(["" if cell is None else _text(cell) for cell in row])
        write_text(self.file(name), text.getvalue())

    def read_arrays(self, name: str) -> "dict[str, np.ndarray] | None":
        """What `write_arrays` was given; None where it was not.

        Raises:
            UserError: The file is damaged.
        """
        import numpy as np

        path = self.path / f"{name}.npz"
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} is damaged ({error}): delete it to have it computed again.") from error

    def write_arrays(self, name: str, arrays: "Mapping[str, np.ndarray]") -> None:
        """Writes name -> array as NAME.npz."""
        import numpy as np

        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]  # mypy takes the keys for savez's own options
        write_bytes(self.file(f"{name}.npz"), content.getvalue())

    def file(self, name: str) -> Path:
        """Where a file of the results is to be written; makes the folder."""
        if not self.exists:
            with os_errors_as_user_errors(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.path / _SETTINGS, self.settings)
        return self.path / name


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _text(cell: Any) -> str:
    return repr(float(cell)) if isinstance(cell, float) or hasattr(cell, "dtype") else str(cell)
