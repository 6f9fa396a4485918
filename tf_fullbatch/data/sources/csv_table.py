"""--dataset=FILE.csv --target=COLUMN: a table of numbers, or of texts, one row per sample."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tf_fullbatch.data.sources.base import SourceSettings, target, text_length, vocabulary_size
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from tf_fullbatch.data.sources.dataset import Dataset

SPLIT_COLUMN = "split"
"""The column that says of each row whether it is of "train", "validation" or "test"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvTable(SourceSettings):
    """A file of comma-separated values whose first line names the columns.

    Every column but the target and `split` is a feature, a number of each sample; built-in networks bring each to mean
    0 and variance 1 over the training samples. One column of text beside the target becomes tokens, see
    `texts.vectorised`. Without a column `split` all rows are training samples.
    """

    target: str | None = target()
    target_kind: str = setting(
        "auto",
        "Whether --target of FILE.csv is classes (its different values, numbered in their order) or numbers; auto: "
        "text and whole numbers are classes.",
        choices=("auto", "classes", "numbers"),
    )
    vocabulary_size: int = vocabulary_size()
    text_length: int = text_length()

    def load(self, name: str, data_dir: str | None) -> "Dataset":
        """The rows of the file, in its order."""
        import numpy as np

        from tf_fullbatch.data.sources.users_arrays import SPLITS, dataset_of

        frame = _read(name)
        if self.target is None or self.target not in frame:
            said = "it needs --target=COLUMN" if self.target is None else f"it has no column {self.target!r}"
            raise UserError(f"{said}: name one of {_listed(frame.columns)}.")
        splits = frame.pop(SPLIT_COLUMN) if SPLIT_COLUMN in frame else None
        column = frame.pop(self.target)
        _check_complete(column)
        if not len(frame.columns):
            raise UserError(f"it has no column beside --target={self.target}: give the features too.")
        rows = {"train": np.arange(len(column))} if splits is None else _rows(splits, SPLITS)
        targets = self._targets(column, rows["train"])
        inputs, vocabulary = self._inputs(frame, rows["train"])
        if splits is None:
            return dataset_of(name, {"train": (inputs, targets)}, vocabulary)
        parts = {split: (inputs[some], targets[some]) for split, some in rows.items()}
        return dataset_of(name, parts, vocabulary)

    def count_training_samples(self, name: str, data_dir: str | None) -> int:
        """Those of the file."""
        return len(self.load(name, data_dir).train)

    def _inputs(self, frame: "pd.DataFrame", train: "np.ndarray") -> "tuple[np.ndarray, int | None]":
        """Features float32 `[rows, columns]` and None; or tokens int32 `[rows, length]`, and how many there are."""
        first = frame.iloc[:, 0]
        if len(frame.columns) > 1 or first.dtype.kind in "iufb":
            return _features(frame), None
        from tf_fullbatch.data.sources.texts import vectorised

        _check_complete(first)
        texts = [text.encode() for text in first]
        of_train = [texts[row] for row in train]
        found, vocabulary = vectorised(
            {"train": of_train, "all": texts}, self.vocabulary_size, self.text_length
        )
        return found["all"], vocabulary

    def _targets(self, column: "pd.Series", train: "np.ndarray") -> "np.ndarray":
        """Class numbers, int64 `[rows]`, or numbers, float64 `[rows]`."""
        import numpy as np

        numeric = column.dtype.kind in "iufb"
        if self.target_kind == "numbers" or (self.target_kind == "auto" and column.dtype.kind == "f"):
            if not numeric:
                raise UserError(
                    f"--target_kind=numbers: the column {self.target!r} is text{_example(column)}."
                )
            return column.to_numpy(np.float64)
        values = column.to_numpy() if numeric else column.to_numpy(str)
        classes = np.unique(values[train])
        found = np.minimum(np.searchsorted(classes, values), len(classes) - 1)
        strange = np.flatnonzero(classes[found] != values)
        if strange.size:
            raise UserError(
                f"the target of row {strange[0] + 1} is {str(values[strange[0]])!r}, which no training sample has: "
                "there is nothing to learn such a class from."
            )
        return found


def _read(name: str) -> "pd.DataFrame":
    import pandas as pd

    try:
        frame = pd.read_csv(name, skipinitialspace=True)
    except OSError as error:
        raise UserError(f"cannot read it ({error.strerror or error}).") from error
    except (ValueError, pd.errors.ParserError) as error:  # an empty file and bytes that are no text too
        raise UserError(
            f"it is no table of comma-separated values ({str(error).strip().splitlines()[0]})."
        ) from error
    if not len(frame):
        raise UserError("it has no rows: give a line of names, then one per sample.")
    return frame


def _features(frame: "pd.DataFrame") -> "np.ndarray":
    """float32 `[rows, columns]`."""
    import numpy as np

    for name in frame:
        _check_complete(frame[name])
        if frame[name].dtype.kind not in "iufb":
            raise UserError(
                f"the column {name!r} is text{_example(frame[name])}: leave it out, or make numbers of it."
            )
    return np.ascontiguousarray(frame.to_numpy(np.float32))


def _rows(splits: "pd.Series", known: tuple[str, ...]) -> "dict[str, np.ndarray]":
    """Split -> its rows, int64."""
    import numpy as np

    _check_complete(splits)
    names = splits.to_numpy(str)
    strange = np.flatnonzero(~np.isin(names, known))
    if strange.size:
        raise UserError(
            f"the column {SPLIT_COLUMN!r} says {str(names[strange[0]])!r} of row {strange[0] + 1}: give "
            f"{_listed(known)}."
        )
    found = {split: np.flatnonzero(names == split) for split in known}
    if not found["train"].size:
        raise UserError(f"the column {SPLIT_COLUMN!r} says 'train' of no row.")
    return {split: rows for split, rows in found.items() if rows.size}


def _check_complete(column: "pd.Series") -> None:
    missing = column.isna().to_numpy()
    if missing.any():
        raise UserError(
            f"the column {column.name!r} has no value in {missing.sum()} row(s), the first is row "
            f"{missing.argmax() + 1}: fill it, or leave these rows out."
        )


def _example(column: "pd.Series") -> str:
    """The first value that is no number, in words."""
    import pandas as pd

    bad = pd.to_numeric(column, errors="coerce").isna().to_numpy()
    row = int(bad.argmax())
    return f" ({str(column.iloc[row])!r} in row {row + 1})"


def _listed(names: Any) -> str:
    return ", ".join(map(str, names))
