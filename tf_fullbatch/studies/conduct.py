"""A study from its beginning to its end: the trials of its sweeps, what they choose, then the runs."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.study_file import FILE_NAME, Study, read_study, write_study
from tf_fullbatch.records.trials_file import write_trials
from tf_fullbatch.run.output_dir import locked
from tf_fullbatch.studies.choice import (
    Choice,
    choice_of,
    choice_text,
    settle,
    with_choice,
    with_earlier_choice,
)
from tf_fullbatch.studies.cluster import JOBS_FOLDER, ClusterExecution
from tf_fullbatch.studies.execution import Failure, StudyExecution
from tf_fullbatch.studies.planned_runs import Run, runs_of
from tf_fullbatch.studies.progress import StudyProgress
from tf_fullbatch.studies.study_folder import check_study_folder
from tf_fullbatch.studies.trials import FOR_GOOD, TrialResult, result_of, rows_of, trials_of

if TYPE_CHECKING:
    import submitit


class StudyConduct:
    """Makes what is lacking of a study, in its folder.

    Args:
        study: The study.
        study_dir: Its folder.
        jobs: Runs side by side.
        stream: Where progress is shown.
        executor: submitit's, for runs that are jobs of a cluster; None for processes on this machine.

    Attributes:
        study: The study, with the settings that were chosen so far.
        trials: The trials of its sweeps.
        failures: The runs and trials that failed.
        without_choice: The arms, by name, whose trials chose nothing.

    Raises:
        UserError: The folder is not this study's, or an arm asks for what is not to be had; nothing is written then.
    """

    def __init__(
        self,
        study: Study,
        study_dir: str,
        jobs: int = 1,
        stream: TextIO = sys.stderr,
        executor: "submitit.Executor | None" = None,
    ):
        check_study_folder(study_dir, study)
        if (Path(study_dir) / FILE_NAME).exists():
            old = {arm.name: arm for arm in read_study(study_dir).arms}
            arms = tuple(with_earlier_choice(arm, old.get(arm.name)) for arm in study.arms)
            study = dataclasses.replace(study, arms=arms)
        self.study = study
        self.trials = trials_of(study, study_dir)
        self.failures: list[Failure] = []
        self.without_choice: list[str] = []
        self._unfit: list[str] = []
        self._dir, self._jobs, self._stream, self._executor = study_dir, jobs, stream, executor
        self.runs = runs_of(study, study_dir)

    def execute(self, *, trials_alone: bool = False) -> None:
        """Runs the trials, chooses, and runs what was chosen.

        Args:
            trials_alone: Stop after the choice.

        Raises:
            UserError: The data of a run to make are not there.
            RunInterruptedError: A signal came; what was under way saved its last completed step.
        """
        if self._executor is None:
            self._check_data()
        with locked(RunFolder(self._dir)):
            write_study(self._dir, self.study)
            if self.trials:
                self._make_trials()
                self._choose()
            runs = [run for run in self.runs if run.arm.name not in self.without_choice]
            if not trials_alone:
                self._execute(runs, "Study")

    def _check_data(self) -> None:
        """Refuses arms whose folders of data are not there, unless all of their runs have ended."""
        for arm in self.study.arms:
            if all(run.is_finished() for run in self.runs if run.arm.name == arm.name):
                continue
            try:
                arm.config.data.check_there()
            except UserError as error:
                raise UserError(f"arm {arm.name!r}: {error}") from error

    def _make_trials(self) -> None:
        left = [result.run for result in self.results() if not result.ended]
        if len(left) < len(self.trials):
            self._say(f"{len(self.trials) - len(left)} of {len(self.trials)} trials have ended already.")
        self._write_trials()
        self._say_unfit(self._say)
        self._execute(
            [run for run in left if self._is_wanted(run)], "Trials", self._note_trial, self._is_wanted
        )

    def _note_trial(self, progress: StudyProgress) -> None:
        self._write_trials()
        self._say_unfit(progress.message)

    def _say_unfit(self, say: Callable[[str], None]) -> None:
        """Says, once, of an arm whose trials lack the accuracy by which to choose; no more of them are made."""
        if self.study.choose_by not in ("validation_accuracy", "validation_error"):
            return
        for result in self.results():
            name = result.run.arm.name
            if result.completed and result.accuracy is None and name not in self._unfit:
                self._unfit.append(name)
                line = (
                    f"{name}: its trials have no accuracy, so that --choose_by={self.study.choose_by} cannot choose; "
                    "no more of them are made. Give --choose_by=validation_loss."
                )
                self.failures.append(Failure(result.run, Outcome.USER_ERROR.exit_code, line))
                say(line)

    def _is_wanted(self, run: Run) -> bool:
        return run.arm.name not in self._unfit

    def _choose(self) -> None:
        """Takes over what the trials choose, and makes place for its runs."""
        choices = self.choices()
        self._write_trials(choices)
        arms = []
        for arm in self.study.arms:
            if arm.sweep:
                trials = sum(run.arm.name == arm.name for run in self.trials)
                best = choices[arm.name].best
                for line in choice_text(arm, choices[arm.name], trials):
                    self._say(line)
                if best is None:
                    self.without_choice.append(arm.name)
                else:
                    arm = with_choice(arm, best.run)
                    for line in settle(self._dir, self.study, arm):
                        self._say(line)
            arms.append(arm)
        self.study = dataclasses.replace(self.study, arms=tuple(arms))
        write_study(self._dir, self.study)
        self.runs = runs_of(self.study, self._dir)

    def results(self) -> list[TrialResult]:
        """What came of the trials so far."""
        failed = {failure.run: failure.reason for failure in self.failures}
        return [result_of(run, failed.get(run)) for run in self.trials]

    def choices(self) -> dict[str, Choice]:
        """Arm's name -> what its trials so far would choose, of the arms that have any."""
        results = self.results()
        return {
            arm.name: choice_of([r for r in results if r.run.arm.name == arm.name], self.study.choose_by)
            for arm in self.study.arms
            if arm.sweep
        }

    def exit_code(self) -> int:
        """0 where all is there; else that of the first failure, a trial that diverged not counted."""
        codes = [failure.code for failure in self.failures if not diverged(failure)]
        if self.without_choice:
            codes.append(Outcome.NON_FINITE.exit_code)
        return codes[0] if codes else 0

    def _write_trials(self, choices: dict[str, Choice] | None = None) -> None:
        """Writes trials.csv; nothing is chosen before all trials have ended."""
        best = [choice.best.run for choice in (choices or {}).values() if choice.best is not None]
        choose_by = {name: choice.choose_by for name, choice in (choices or self.choices()).items()}
        write_trials(self._dir, rows_of(self.results(), choose_by, best, self._dir))

    def _execute(
        self,
        runs: list[Run],
        whole: str,
        on_end: Callable[[StudyProgress], None] = lambda progress: None,
        is_wanted: Callable[[Run], bool] = lambda run: True,
    ) -> None:
        progress = StudyProgress(runs, self._stream, whole=whole)
        execution: StudyExecution | ClusterExecution
        if self._executor is None:
            execution = StudyExecution(runs, self._jobs, progress, lambda: on_end(progress), is_wanted)
        else:
            jobs_folder = Path(self._dir) / JOBS_FOLDER
            execution = ClusterExecution(
                runs, self._executor, jobs_folder, progress, lambda: on_end(progress)
            )
        try:
            execution.execute()
        finally:
            self.failures += execution.failures

    def _say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


def diverged(failure: Failure) -> bool:
    """Whether it is a trial that diverged, which says something of its settings and nothing else."""
    return bool(failure.run.point) and failure.code in [outcome.exit_code for outcome in FOR_GOOD]
