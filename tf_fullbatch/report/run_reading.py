"""A run read from its folder; whatever is wrong with its records becomes its status."""

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tf_fullbatch.config.comparing import result_differences
from tf_fullbatch.config.run import Config
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.summary import ended_before_its_passes, read_summary
from tf_fullbatch.records.tables import read_table
from tf_fullbatch.report.measured_reading import with_measurements
from tf_fullbatch.report.run_records import LARGEST, SHOWN, Final, RecordedRun, Status

_NO_STEP = "not started: no step yet"


def read_run(folder: RunFolder, seed: int | None = None, expected: Config | None = None) -> RecordedRun:
    """Reads a run; whatever is wrong with its records becomes its status, never an exception.

    Args:
        folder: Its folder, which need not exist.
        seed: The seed it should have; None takes that of its settings.
        expected: The settings it should have, but for the seed; None for any.
    """
    try:
        _refuse_lost_files(folder)
        if not folder.config.exists():
            return _without_settings(folder, seed)
        run = _with_settings(folder, seed, expected)
        return _with_tables(run, folder, expected) if folder.metrics.exists() else run
    except UserError as error:
        reason = str(error)
    except OSError as error:
        reason = f"cannot read {error.filename}: {error.strerror}"
    return RecordedRun(folder=folder.path, seed=seed, status=Status.LEFT_OUT, reason=reason)


def _without_settings(folder: RunFolder, seed: int | None) -> RecordedRun:
    """A run that has not come as far as to write its settings."""
    said = folder.last_error()
    reason = "not started" if said is None else f"failed at its start: {said}"
    return RecordedRun(folder=folder.path, seed=seed, status=Status.NOT_STARTED, reason=reason)


def _with_settings(folder: RunFolder, seed: int | None, expected: Config | None) -> RecordedRun:
    """A run by its settings alone."""
    config = folder.read_config()
    if expected is not None:
        _refuse_other_settings(config, expected, seed)
    return RecordedRun(
        folder=folder.path,
        seed=config.step.seed,
        status=Status.NOT_STARTED,
        reason=_NO_STEP,
        planned_passes=(expected or config).total_epochs,
        config=config,
        file_hashes=folder.read_file_hashes(),
    )


def _with_tables(run: RecordedRun, folder: RunFolder, expected: Config | None) -> RecordedRun:
    """A run of known settings with its tables and its summary, and how far it got by them."""
    assert run.config is not None
    metrics = _metrics(folder.metrics, run.config)
    evaluations = read_table(folder.evaluations, EVALUATION_COLUMNS, as_floats=True)
    has_cross_entropy = _with_cross_entropy(metrics, evaluations)
    _refuse_impossible(folder.evaluations, evaluations)
    _refuse_longer(metrics, run.planned_passes)
    summary, notes = _summary(folder)
    goals = (expected or run.config).runtime.goals
    status, reason = _status(run.planned_passes, goals, metrics, evaluations, summary)
    finals = _finals(evaluations)
    if status is Status.COMPLETED:
        notes += _final_notes(finals)
        if not folder.summary.exists():
            notes += ("it has no summary.json: its device and versions are not shown",)
    run = dataclasses.replace(
        run,
        status=status,
        reason=reason,
        metrics=metrics,
        evaluations=evaluations,
        has_cross_entropy=has_cross_entropy,
        finals=finals,
        summary=summary,
        notes=notes,
    )
    return with_measurements(run, folder)


def _refuse_other_settings(config: Config, expected: Config, seed: int | None) -> None:
    differences = [found for found in result_differences(config, expected) if found[0] != "seed"]
    if config.step.seed != seed:
        differences.append(("seed", config.step.seed, seed))
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
    metrics = read_table(path, STEP_COLUMNS, SHOWN, as_floats=True)
    recorded = metrics["gradient_evaluations"].to_numpy()
    per_sample = np.where(np.isnan(recorded), config.step.gradient_evaluations, recorded)
    seen = metrics["samples_seen"].to_numpy()
    samples = np.diff(seen, prepend=0.0)
    metrics["spent"] = np.nancumsum(np.where(np.isnan(samples), seen, samples) * per_sample)
    return metrics


def _with_cross_entropy(*tables: pd.DataFrame) -> bool:
    """Puts the cross-entropy in place of the objective, where every row with an objective has it; whether it did."""
    there = [
        [~np.isnan(table[name].to_numpy(float)) for name in ("cross_entropy", "loss")] for table in tables
    ]
    if not all(one.sum() >= losses.sum() for one, losses in there) or not any(one.any() for one, _ in there):
        return False
    for table in tables:
        table["loss"] = table["cross_entropy"]
    return True


def _finals(evaluations: pd.DataFrame) -> dict[tuple[str, str], Final]:
    figures = evaluations[["accuracy", "loss", "samples"]].to_numpy()
    last = {kind: row for row, kind in enumerate(_kinds(evaluations))}
    return {kind: Final(100 * figures[row, 0], *figures[row, 1:]) for kind, row in last.items()}


def _kinds(evaluations: pd.DataFrame) -> list[tuple[str, str]]:
    """(split, weights) of each evaluation."""
    return list(zip(evaluations["split"].tolist(), evaluations["weights"].tolist(), strict=True))


def _final_notes(finals: Mapping[tuple[str, str], Final]) -> tuple[str, ...]:
    if not finals:
        return ("it has no evaluation, and so no figure to compare",)
    wrong = [
        split
        for (split, weights), final in finals.items()
        if weights == "raw" and not abs(final.loss) <= LARGEST
    ]
    return tuple(f"its last {split} loss is not finite" for split in wrong)


def _summary(folder: RunFolder) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What summary.json says, as far as it can be trusted, and what is wrong with it."""
    try:
        return (read_summary(folder.summary) if folder.summary.exists() else {}), ()
    except UserError as error:
        return {}, (str(error),)


def _status(
    planned: int,
    goals: Mapping[str, float],
    metrics: pd.DataFrame,
    evaluations: pd.DataFrame,
    summary: Mapping[str, Any],
) -> tuple[Status, str]:
    if metrics.empty and summary.get("steps"):
        return Status.LEFT_OUT, "its metrics.csv has no step, though the run has ended"
    if metrics.empty:
        return Status.NOT_STARTED, _NO_STEP
    step, passes = metrics["step"].iloc[-1], metrics["epoch"].iloc[-1]
    so_far = f"{passes:.6g} of {planned} passes"
    # A summary of fewer steps is from before the run was resumed.
    outcome = summary.get("outcome") if summary.get("steps") == step else None
    finished = outcome in [one.name for one in Outcome if one.is_finished]
    ended = not finished and outcome not in (None, Outcome.INTERRUPTED.name)
    early = outcome is not None and ended_before_its_passes(summary, goals)
    if early or (passes >= planned and not ended):
        if (finished and evaluations.empty) or _evaluated_at(step, evaluations, finished):
            return Status.COMPLETED, ""
        return Status.UNFINISHED, f"unfinished: {so_far}, the last evaluation is missing"
    if not ended:
        return Status.UNFINISHED, f"unfinished: {so_far}"
    if passes >= planned:
        return Status.ENDED, str(summary["message"])
    return Status.ENDED, f"ended early: {outcome} after {so_far}: {summary['message']}"


def _evaluated_at(step: float, evaluations: pd.DataFrame, ended: bool) -> bool:
    """Whether everything that was ever evaluated was evaluated at this step, and that is all there is to evaluate.

    After validation alone, in the only evaluation of a run that has not ended, the test samples may have been still to
    come.
    """
    kinds = _kinds(evaluations)
    last = set(itertools.compress(kinds, evaluations["step"] == step))
    whole = ended or evaluations["step"].nunique() > 1 or any(split == "test" for split, _ in kinds)
    return bool(last) and last == set(kinds) and whole
