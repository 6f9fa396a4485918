"""What the trials of a sweep choose: by validation samples alone."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_fullbatch.display.text import format_percentage
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.files import os_errors_as_user_errors
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.study_file import Arm, Study, folder_of
from tf_fullbatch.run.output_dir import locked
from tf_fullbatch.studies.planned_runs import Run
from tf_fullbatch.studies.sweeps import point_in, point_text, remark_on_edges
from tf_fullbatch.studies.trials import TrialResult, trial_folder


@dataclass(frozen=True, slots=True)
class Choice:
    """What an arm's trials say.

    Attributes:
        choose_by: The figure that chooses, see `options.CHOOSE_BY`.
        best: The trial that is chosen; None where none can be.
    """

    choose_by: str
    best: TrialResult | None


def choice_of(results: Sequence[TrialResult], choose_by: str | None) -> Choice:
    """Chooses among an arm's trials: completed ones, by a finite figure of the validation samples.

    Of equal ones, the one with the lower loss; then the first.
    """
    completed = [result for result in results if result.completed]
    if choose_by is None:
        measured = any(result.accuracy is not None for result in completed) or not completed
        choose_by = "validation_accuracy" if measured else "validation_loss"
    able = [result for result in completed if result.figure(choose_by) is not None]
    sign = -1 if choose_by == "validation_accuracy" else 1

    def rank(result: TrialResult) -> tuple[float, float]:
        figure = result.figure(choose_by)
        assert figure is not None
        return sign * figure, float("inf") if result.loss is None else result.loss

    return Choice(choose_by, min(able, key=rank, default=None))


def choice_text(arm: Arm, choice: Choice, trials: int) -> list[str]:
    """Lines about what was chosen."""
    best = choice.best
    if best is None:
        return [
            f"{arm.name}: none of its {trials} trials has a {choice.choose_by.replace('_', ' ')}; it is left out."
        ]
    figure = best.figure(choice.choose_by)
    shown = f"{figure:.5g}" if choice.choose_by == "validation_loss" else format_percentage(figure)
    lines = [
        f"{arm.name}: chosen by {choice.choose_by.replace('_', ' ')} ({shown}) from {trials} trials: "
        f"{point_text(best.run.point)}"
    ]
    return lines + [f"{arm.name}: {line}" for line in remark_on_edges(arm, best.run.point)]


def with_choice(arm: Arm, chosen: Run) -> Arm:
    """The arm with the settings that were chosen."""
    values = chosen.config.values()
    return dataclasses.replace(arm, config=arm.config.replacing(**{name: values[name] for name in arm.swept}))


def with_earlier_choice(arm: Arm, old: Arm | None) -> Arm:
    """The arm with the settings that an earlier command chose, so that its runs are shown until there is another."""
    if old is None or not arm.sweep or not set(arm.swept) <= set(old.swept):
        return arm
    values = old.config.values()
    try:
        return dataclasses.replace(
            arm, config=arm.config.replacing(**{name: values[name] for name in arm.swept})
        )
    except UserError:  # with what else has changed they cannot be
        return arm


def settle(study_dir: str | os.PathLike[str], study: Study, arm: Arm) -> list[str]:
    """Makes place for the runs of an arm's choice, where an earlier choice had other runs.

    Those move beside their trials, and those that were moved there from here come back.

    Returns:
        A line for each run that was moved.
    """
    moved = []
    chosen = point_in(arm.config, arm.swept)
    for seed in study.seeds:
        here = folder_of(study_dir, arm.name, seed)
        if here.config.exists():
            point = point_in(here.read_config(), arm.swept)
            if point == chosen:
                continue
            _move(here, trial_folder(study_dir, arm.name, point, seed))
            moved.append(
                f"{arm.name}, seed {seed}: the run of {point_text(point)} moved to trials/{arm.name}"
            )
        aside = trial_folder(study_dir, arm.name, chosen, seed)
        if aside.config.exists() and not here.path.exists():
            _move(aside, here)
            moved.append(f"{arm.name}, seed {seed}: the run of {point_text(chosen)} is back")
    return moved


def _move(source: RunFolder, target: RunFolder) -> None:
    with locked(source):  # a job may be at work there
        pass
    with os_errors_as_user_errors(target.path):
        target.path.parent.mkdir(parents=True, exist_ok=True)
        for old, new in ((source.path, target.path), (source.log, target.log)):
            if old.exists():
                if new.exists():
                    raise UserError(f"{new} is there already: delete it, or {old}, whichever is not wanted.")
                Path(old).rename(new)
