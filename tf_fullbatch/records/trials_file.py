"""trials.csv: a line per trial of a study's sweeps, with what was tried, what came out, and what was chosen."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tf_fullbatch.errors import UserError
from tf_fullbatch.records.files import write_text

if TYPE_CHECKING:
    import pandas as pd

TRIALS_FILE_NAME = "trials.csv"
TRIALS_FOLDER = "trials"
"""Where the trials' run folders are, in a study's: TRIALS_FOLDER/ARM/POINT/seed-SEED."""
_AFTER_SETTINGS = ("seed", "choose_by", "figure", "status", "chosen", "folder")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRow:
    """A line of trials.csv.

    Attributes:
        arm: The arm's name.
        settings: Setting -> value as its flag takes it, of the arm's sweep.
        seed: The trial's seed.
        choose_by: Which figure is meant, such as "validation_accuracy".
        figure: The figure at the end of the trial, accuracies and errors as fractions; None where there is none.
        status: How far it got, in a word or two: "completed" alone can be chosen.
        chosen: Whether the study's runs of the arm have these settings.
        folder: The trial's run folder, within the study's.
    """

    arm: str
    settings: dict[str, str]
    seed: int
    choose_by: str
    figure: float | None
    status: str
    chosen: bool
    folder: str


def write_trials(study_dir: str | os.PathLike[str], rows: Sequence[TrialRow]) -> None:
    """Writes trials.csv, whole or not at all; a setting that an arm does not sweep is blank in its lines."""
    settings = list(dict.fromkeys(name for row in rows for name in row.settings))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", *settings, *_AFTER_SETTINGS])
    for row in rows:
        figure = "" if row.figure is None else repr(row.figure)
        writer.writerow(
            [row.arm, *(row.settings.get(name, "") for name in settings), row.seed, row.choose_by, figure, row.status,
             int(row.chosen), row.folder]
        )  # fmt: skip
    write_text(Path(study_dir) / TRIALS_FILE_NAME, text.getvalue())


def read_trials(study_dir: str | os.PathLike[str]) -> "pd.DataFrame":
    """trials.csv: `arm`, a column per swept setting, `seed`, `choose_by`, `figure`, `status`, `chosen`, `folder`.

    Settings of numbers are numbers (NaN where an arm does not sweep them), others text ("" there); `chosen` is bool,
    `figure` float, NaN where there is none. A study without sweeps has no lines.

    Raises:
        UserError: The file cannot be read.
    """
    import pandas as pd

    path = Path(study_dir) / TRIALS_FILE_NAME
    if not path.exists():
        return pd.DataFrame(columns=["arm", *_AFTER_SETTINGS])
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table = table.astype({"seed": int})
        table["figure"] = pd.to_numeric(table["figure"], errors="coerce")
        table["chosen"] = table["chosen"] == "1"
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"cannot read {path}: {' '.join(str(error).split())}. The study writes it anew when it is gone on with."
        ) from error
    for name in table.columns:
        if name not in ("arm", *_AFTER_SETTINGS):
            numbers = pd.to_numeric(table[name].replace("", "nan"), errors="coerce")
            if not (numbers.isna() & ~table[name].isin(["", "nan"])).any():
                table[name] = numbers
    return table
