"""A run as its records tell it: its settings, its tables, and how far it got."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tf_fullbatch.config.run import Config, result_differences
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.summary import read_summary
from tf_fullbatch.records.tables import read_table

_SHOWN = (
    "step", "epoch", "samples_seen", "loss", "accuracy", "penalty", "gradient_norm", "clipped",
    "mean_squared_micro_batch_gradient_norm", "learning_rate", "gradient_evaluations", "wall_seconds",
)  # fmt: skip
_NO_STEP = "not started: no step yet"


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
        metrics: What is shown of metrics.csv, one row per step, blank cells NaN; and `spent`, the gradient evaluations
            up to each step.
        evaluations: evaluations.csv, one row per evaluation.
        summary: What is used of summary.json; empty where there is none.
        notes: What else is wrong with its records, one line each.
    """

    folder: Path
    seed: int | None
    status: Status
    reason: str = ""
    planned_passes: int = 0
    config: Config | None = None
    metrics: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=[*_SHOWN, "spent"], dtype=float)
    )
    evaluations: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=[column.name for column in EVALUATION_COLUMNS])
    )
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
    def gradient_evaluations_per_sample(self) -> float | None:
        """Gradient evaluations per sample seen, those of the settings before the first step; None without settings."""
        if self.started:
            return self.last("spent") / self.last("samples_seen")
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
            said = folder.last_error()
            reason = "not started" if said is None else f"failed at its start: {said}"
            return RecordedRun(folder=path, seed=seed, status=Status.NOT_STARTED, reason=reason)
        config = folder.read_config()
        if expected is not None:
            _refuse_other_settings(config, expected.replacing(seed=seed))
        planned = (expected or config).total_epochs
        if not folder.metrics.exists():
            return RecordedRun(
                folder=path, seed=config.step.seed, status=Status.NOT_STARTED, reason=_NO_STEP, planned_passes=planned,
                config=config,
            )  # fmt: skip
        metrics = _metrics(folder.metrics, config)
        evaluations = read_table(folder.evaluations, EVALUATION_COLUMNS, as_floats=True)
        _refuse_impossible(folder.evaluations, evaluations)
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
    differences = result_differences(config, expected)
    if differences:
        shown = "; ".join(f"--{name}: {b} in the study, {a} in the run" for name, a, b in differences)
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


def _metrics(path: Path, config: Config) -> pd.DataFrame:
    """metrics.csv without what no report shows, numbers as floats, and `spent`: gradient evaluations so far.

    Where a step's gradient evaluations are not recorded (version 0.1.0), they are those of the settings.
    """
    metrics = read_table(path, STEP_COLUMNS, _SHOWN, as_floats=True)
    per_sample = metrics.pop("gradient_evaluations").fillna(config.step.gradient_evaluations)
    samples = metrics["samples_seen"].diff().fillna(metrics["samples_seen"])
    return metrics.assign(spent=(samples * per_sample).cumsum())


def _summary(folder: RunFolder) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What summary.json says, as far as it can be trusted, and what is wrong with it."""
    try:
        return (read_summary(folder.summary) if folder.summary.exists() else {}), ()
    except UserError as error:
        return {}, (str(error),)


def _status(
    planned: int, metrics: pd.DataFrame, evaluations: pd.DataFrame, summary: Mapping[str, Any]
) -> tuple[Status, str]:
    if metrics.empty and summary.get("steps"):
        return Status.LEFT_OUT, "its metrics.csv has no step, though the run has ended"
    if metrics.empty:
        return Status.NOT_STARTED, _NO_STEP
    step, passes = metrics["step"].iloc[-1], metrics["epoch"].iloc[-1]
    so_far = f"{passes:.6g} of {planned} passes"
    # A summary of fewer steps is from before the run was resumed.
    outcome = summary.get("outcome") if summary.get("steps") == step else None
    if outcome == Outcome.DIVERGED.name:
        return Status.ENDED, str(summary["message"])
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
