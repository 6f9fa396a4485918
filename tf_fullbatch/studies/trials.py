"""The trials of sweeps: one run per point of an arm's grid, with a seed of its own, without test samples."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_fullbatch.config.run import LOSS_SETTINGS
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records.columns import EVALUATION_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.study_file import Arm, Study
from tf_fullbatch.records.summary import read_summary
from tf_fullbatch.records.tables import last_row, read_table
from tf_fullbatch.records.trials_file import TRIALS_FOLDER, TrialRow
from tf_fullbatch.studies.planned_runs import Run, checked_cost
from tf_fullbatch.studies.sweeps import Point, points_of

FOR_GOOD = tuple(
    outcome
    for outcome in Outcome
    if not outcome.is_finished
    and outcome.name not in ("INTERRUPTED", "OUT_OF_MEMORY", "WORKER_LOST", "USER_ERROR")
)
"""Ends of trials that another attempt would come to again."""
_LONGEST_NAME = 100


def trial_folder(study_dir: str | os.PathLike[str], arm: str, point: Point, seed: int) -> RunFolder:
    """Where a trial is kept, in a folder named by its point."""
    plain = "__".join(f"{name}={value}" for name, value in point)
    name = re.sub(r"[^A-Za-z0-9._+=-]", "-", plain)[:_LONGEST_NAME]
    if name != plain:
        name += "-" + hashlib.sha256(plain.encode()).hexdigest()[:8]
    return RunFolder(Path(study_dir) / TRIALS_FOLDER / arm / name / f"seed-{seed}")


def is_trial(folder: Path) -> bool:
    """Whether a run folder was a trial from its beginning, rather than a run of the study that was put there."""
    try:
        return not RunFolder(folder).read_config().runtime.evaluate_test
    except UserError:
        return False


def trials_of(study: Study, study_dir: str | os.PathLike[str]) -> list[Run]:
    """All trials of a study, arm by arm.

    Raises:
        UserError: An arm has no validation samples to choose by, or asks for data that are not to be had.
    """
    return [run for arm in study.arms if arm.sweep for run in _trials_of_arm(study, arm, study_dir)]


def _trials_of_arm(study: Study, arm: Arm, study_dir: str | os.PathLike[str]) -> list[Run]:
    points = points_of(arm)
    data = arm.config.data
    try:
        validated = data.has_validation()
    except UserError as error:
        raise UserError(f"arm {arm.name!r}: --dataset={data.dataset}: {error}") from error
    if not validated:
        raise UserError(
            f"arm {arm.name!r}: its sweep has no samples to choose by, and test data choose nothing: give "
            f"--validation_size, or a --dataset with a split 'validation' (this: {data.dataset})."
        )
    runs = []
    for point, config in points:
        folder = trial_folder(study_dir, arm.name, point, study.sweep_seed)
        config = config.replacing(
            seed=study.sweep_seed,
            output_dir=str(folder.path),
            evaluate_test=False,
        )
        runs.append(Run(arm, study.sweep_seed, config, folder, checked_cost(arm, config), point))
    return runs


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResult:
    """What came of a trial, by its records.

    Attributes:
        run: The trial.
        status: In a word or two: "completed", "not started", "unfinished", or how it ended.
        ended: Whether nothing is left to be done: it is finished, or would end so again.
        accuracy: On the validation samples at its end, a fraction; None where it has none.
        loss: Their mean cross-entropy without label smoothing and regularisation where that is recorded, else their
            loss; None where it has none, or where the trials have other losses and no cross-entropy.
    """

    run: Run
    status: str
    ended: bool
    accuracy: float | None = None
    loss: float | None = None

    @property
    def completed(self) -> bool:
        """Whether it may be chosen."""
        return self.status == "completed"

    def figure(self, name: str) -> float | None:
        """A figure by the name that --choose_by has for it."""
        if name == "validation_loss":
            return self.loss
        if self.accuracy is None or name == "validation_accuracy":
            return self.accuracy
        return 1 - self.accuracy


def result_of(run: Run, failure: str | None = None) -> TrialResult:
    """Reads the records of a trial.

    Args:
        run: The trial.
        failure: How this study's attempt at it failed; None where it did not.
    """
    if run.is_finished():
        return TrialResult(run=run, status="completed", ended=True, **_figures(run))
    try:
        outcome: str = read_summary(run.folder.summary)["outcome"]
    except UserError:
        outcome = ""
    if outcome in [end.name for end in FOR_GOOD]:
        return TrialResult(run=run, status=outcome.lower().replace("_", " "), ended=True)
    if failure is not None:
        return TrialResult(run=run, status="failed", ended=False)
    begun = bool(last_row(run.folder.metrics))
    return TrialResult(run=run, status="unfinished" if begun else "not started", ended=False)


def rows_of(
    results: Sequence[TrialResult],
    choose_by: dict[str, str],
    chosen: Sequence[Run],
    study_dir: str | os.PathLike[str],
) -> list[TrialRow]:
    """The lines of trials.csv.

    Args:
        results: Of all trials.
        choose_by: Arm's name -> the figure that chooses.
        chosen: The trials that are chosen.
        study_dir: The study's folder.
    """
    return [
        TrialRow(
            arm=result.run.arm.name,
            settings=dict(result.run.point),
            seed=result.run.seed,
            choose_by=choose_by[result.run.arm.name],
            figure=result.figure(choose_by[result.run.arm.name]),
            status=result.status,
            chosen=result.run in chosen,
            folder=result.run.folder.path.relative_to(study_dir).as_posix(),
        )
        for result in results
    ]


def _figures(run: Run) -> dict[str, float | None]:
    """The last figures of the validation samples, at the weights as trained; no loss that does not compare."""
    try:
        table = read_table(run.folder.evaluations, EVALUATION_COLUMNS, as_floats=True)
    except UserError:  # the report says more about it
        return {}
    rows = table[(table["split"] == "validation") & (table["weights"] == "raw")].to_dict("records")
    if not rows:
        return {}
    accuracy, loss = (_number(rows[-1].get(name)) for name in ("accuracy", "loss"))
    cross_entropy = _number(rows[-1].get("cross_entropy"))
    if cross_entropy is not None or any(name in LOSS_SETTINGS for name, _ in run.point):
        loss = cross_entropy
    return {"accuracy": accuracy, "loss": loss}


def _number(value: float | None) -> float | None:
    return None if value is None or value != value or abs(value) == float("inf") else float(value)
