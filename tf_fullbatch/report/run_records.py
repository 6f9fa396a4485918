"""A run as its records tell it: its settings, its tables, and how far it got."""

import csv
import enum
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tf_fullbatch.config.run import Config, deciding_differences
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS, Column
from tf_fullbatch.records.run_folder import RunFolder, read_csv, read_json
from tf_fullbatch.reporting.summary import FORMAT_VERSION
from tf_fullbatch.studies.record import last_error, run_log


class Status(enum.Enum):
    """How far a run got. The value is the word in tables."""

    COMPLETED = "completed"
    UNFINISHED = "unfinished"
    ENDED = "ended early"
    NOT_STARTED = "not started"
    LEFT_OUT = "left out"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RecordedRun:
    """A run, from its records.

    Attributes:
        folder: Where its records are.
        seed: Its seed; None where its settings cannot be read.
        status: How far it got.
        reason: What is to be said about its status, in one line; empty for a completed run.
        planned_passes: Passes over the training set it is to have.
        config: Its settings; None where they cannot be read or there are none yet.
        metrics: metrics.csv, one row a step; blank cells are NaN.
        evaluations: evaluations.csv, one row an evaluation.
        summary: What is used of summary.json; empty where there is none.
        notes: What else is wrong with its records, one line each.
    """

    folder: Path
    seed: int | None
    status: Status
    reason: str = ""
    planned_passes: int = 0
    config: Config | None = None
    metrics: pd.DataFrame = field(default_factory=lambda: _frame([], STEP_COLUMNS))
    evaluations: pd.DataFrame = field(default_factory=lambda: _frame([], EVALUATION_COLUMNS))
    summary: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def completed(self) -> bool:
        """Whether it has all its passes and its last evaluation."""
        return self.status is Status.COMPLETED

    @property
    def started(self) -> bool:
        """Whether it has a step to show."""
        return len(self.metrics) > 0

    @property
    def gradient_evaluations_per_sample(self) -> int | None:
        """Gradient evaluations a sample and pass; None where the settings cannot be read."""
        return None if self.config is None else self.config.step.gradient_evaluations

    def last(self, column: str) -> float:
        """A column of metrics.csv at the last step; NaN before the first."""
        return float(self.metrics[column].iloc[-1]) if self.started else float("nan")

    def last_pass(self, column: str) -> float:
        """The mean of a column of metrics.csv over the steps of the last pass; NaN before the first."""
        if not self.started:
            return float("nan")
        epochs = self.metrics["epoch"]
        return float(self.metrics[column][epochs > epochs.iloc[-1] - 1 + 1e-6].mean())

    def accuracy(self, split: str, weights: str = "raw") -> float | None:
        """The last evaluation's accuracy in percent; None where the split was not evaluated or gave none."""
        table = self.evaluations
        found = table[(table["split"] == split) & (table["weights"] == weights)]["accuracy"]
        last = float(found.iloc[-1]) if len(found) else float("nan")
        return 100 * last if np.isfinite(last) else None

    def evaluated_samples(self, split: str) -> int | None:
        """How many samples the last accuracy is of; None where there is none."""
        found = self.evaluations[self.evaluations["split"] == split]["samples"].dropna()
        return int(found.iloc[-1]) if len(found) else None


def read_run(folder: RunFolder, seed: int | None = None, expected: Config | None = None) -> RecordedRun:
    """Reads a run; whatever is wrong with its records becomes its status, never an exception.

    Args:
        folder: Its folder, which need not exist.
        seed: The seed it should have; None takes that of its settings.
        expected: The settings it should have, but for the seed; None for any.
    """
    path = folder.path
    try:
        _refuse_lost_files(folder)
        if not folder.config.exists():
            said = last_error(run_log(folder))
            reason = "not started" if said is None else f"failed at its start: {said}"
            return RecordedRun(folder=path, seed=seed, status=Status.NOT_STARTED, reason=reason)
        config = _config(folder.config)
        if expected is not None:
            _refuse_other_settings(config, expected.replacing(seed=seed))
        metrics = _table(folder.metrics, STEP_COLUMNS)
        evaluations = _table(folder.evaluations, EVALUATION_COLUMNS)
        _refuse_impossible(folder.evaluations, evaluations)
        planned = (expected or config).runtime.epochs
        _refuse_longer(metrics, planned)
    except UserError as error:
        return RecordedRun(folder=path, seed=seed, status=Status.LEFT_OUT, reason=str(error))
    except OSError as error:
        reason = f"cannot read {error.filename}: {error.strerror}"
        return RecordedRun(folder=path, seed=seed, status=Status.LEFT_OUT, reason=reason)
    summary, notes = _summary(folder)
    status, reason = _status(planned, metrics, evaluations, summary)
    if status is Status.COMPLETED and evaluations.empty:
        notes = (*notes, "it has no evaluation, and so no accuracy")
    if status is Status.COMPLETED and not folder.summary.exists():
        notes = (*notes, "it has no summary.json: its device and versions are not shown")
    return RecordedRun(
        folder=path,
        seed=config.step.seed,
        status=status,
        reason=reason,
        planned_passes=planned,
        config=config,
        metrics=metrics,
        evaluations=evaluations,
        summary=summary,
        notes=notes,
    )


def _refuse_other_settings(config: Config, expected: Config) -> None:
    differences = deciding_differences(expected, config)
    if differences:
        shown = "; ".join(f"--{name}: {a} in the study, {b} in the run" for name, a, b in differences)
        raise UserError(f"the run has other settings than its study says ({shown})")


def _refuse_lost_files(folder: RunFolder) -> None:
    """A run writes its settings, then begins its tables together, before its first step."""
    begun = any(path.exists() for path in (folder.metrics, folder.evaluations, folder.summary))
    for path in (folder.config, folder.metrics, folder.evaluations):
        if begun and not path.exists():
            raise UserError(f"{path} is missing. Restore it, or delete the run's folder to run it anew.")


def _refuse_impossible(path: Path, evaluations: pd.DataFrame) -> None:
    accuracies = evaluations["accuracy"].dropna()
    wrong = accuracies[~accuracies.between(0, 1)]
    if len(wrong):
        raise UserError(
            f"{path} is damaged: it has an accuracy of {wrong.iloc[0]:g}, not one between 0 and 1"
        )


def _refuse_longer(metrics: pd.DataFrame, planned: int) -> None:
    passes = metrics["epoch"].max()
    if passes > planned:
        raise UserError(f"the run has {passes:.6g} passes, its study says {planned}")


def _config(path: Path) -> Config:
    try:
        return Config.from_dict(read_json(path))
    except UserError as error:
        raise UserError(f"{path} is damaged or of another version ({error})") from error


def _table(path: Path, columns: Sequence[Column]) -> pd.DataFrame:
    if not path.exists():
        return _frame([], columns)
    content = path.read_bytes()
    content = content[: content.rfind(b"\n") + 1]  # a last line that is cut short does not count
    heading = content.partition(b"\n")[0].decode(errors="replace")
    names, expected = heading.split(","), [column.name for column in columns]
    if names != expected and content:
        lacks = ", ".join(name for name in expected if name not in names) or "nothing"
        unknown = ", ".join(name for name in names if name not in expected) or "nothing"
        raise UserError(
            f"{path} is damaged or of another version: of its columns it lacks {lacks}, and {unknown[:200]} is unknown"
        )
    # Mini-batch runs have millions of rows, which pandas reads; `read_csv` finds and names what is wrong.
    if content and content.count(b",") == (len(columns) - 1) * content.count(b"\n"):
        kinds = {column.name: str if column.kind is str else float for column in columns}
        try:
            return pd.read_csv(io.BytesIO(content), dtype=kinds, quoting=csv.QUOTE_NONE)
        except ValueError:
            pass
    return _frame(read_csv(path, columns), columns)


def _frame(rows: list[dict[str, Any]], columns: Sequence[Column]) -> pd.DataFrame:
    """A column of numbers is of floats, NaN where a cell is blank."""
    table = {}
    for column in columns:
        blank, kind = ("", object) if column.kind is str else (np.nan, float)
        table[column.name] = np.array([row.get(column.name, blank) for row in rows], dtype=kind)
    return pd.DataFrame(table)


def _summary(folder: RunFolder) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What summary.json says, as far as it can be trusted, and what is wrong with it."""
    if not folder.summary.exists():
        return {}, ()
    try:
        content = read_json(folder.summary)
    except UserError as error:
        return {}, (str(error),)
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        return {}, (
            f"{folder.summary} has format version {version!r}, this tf_fullbatch reads {FORMAT_VERSION}: its device "
            "and versions are not shown.",
        )
    kinds: dict[str, type] = {"outcome": str, "message": str, "steps": int, "device": str, "versions": dict}
    if any(not isinstance(content.get(name), kind) for name, kind in kinds.items()):
        return {}, (f"{folder.summary} is damaged: its device and versions are not shown.",)
    return {name: content[name] for name in kinds} | {"git_revision": content.get("git_revision")}, ()


def _status(
    planned: int, metrics: pd.DataFrame, evaluations: pd.DataFrame, summary: Mapping[str, Any]
) -> tuple[Status, str]:
    if metrics.empty and summary.get("steps"):
        return Status.LEFT_OUT, "its metrics.csv has no step, though the run has ended"
    if metrics.empty:
        return Status.NOT_STARTED, "not started: no step yet"
    step, passes = metrics["step"].iloc[-1], metrics["epoch"].iloc[-1]
    so_far = f"{passes:.6g} of {planned} passes"
    # A summary of fewer steps is from before the run was resumed.
    outcome = summary.get("outcome") if summary.get("steps") == step else None
    if passes >= planned:
        nothing_to_evaluate = outcome == Outcome.COMPLETED.name and evaluations.empty
        if nothing_to_evaluate or _evaluated_at(step, evaluations, outcome == Outcome.COMPLETED.name):
            return Status.COMPLETED, ""
        return Status.UNFINISHED, f"unfinished: {so_far}, the last evaluation is missing"
    if outcome in (None, Outcome.COMPLETED.name, Outcome.INTERRUPTED.name):
        return Status.UNFINISHED, f"unfinished: {so_far}"
    return Status.ENDED, f"ended early: {outcome} after {so_far}: {summary['message']}"


def _evaluated_at(step: float, evaluations: pd.DataFrame, ended: bool) -> bool:
    """Whether everything that was ever evaluated was evaluated at this step, and that is all there is to evaluate.

    After validation alone, in the only evaluation of a run that has not ended, the test samples may have been still to
    come.
    """
    kinds = set(zip(evaluations["split"], evaluations["weights"], strict=True))
    at_step = evaluations[evaluations["step"] == step]
    last = set(zip(at_step["split"], at_step["weights"], strict=True))
    whole = ended or evaluations["step"].nunique() > 1 or any(split == "test" for split, _ in kinds)
    return bool(last) and last == kinds and whole
