"""The command `python -m tf_fullbatch.study`: several runs, each with several seeds, to be compared."""

import shlex
import sys
from collections.abc import Sequence

from tf_fullbatch.commands import console, report
from tf_fullbatch.display.text import format_count, format_table
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.study_file import Study, write_study
from tf_fullbatch.run.output_dir import locked
from tf_fullbatch.studies import definition
from tf_fullbatch.studies.definition import Options
from tf_fullbatch.studies.execution import Failure, StudyExecution
from tf_fullbatch.studies.planned_runs import Run, check_study_folder, runs_of
from tf_fullbatch.studies.progress import StudyProgress


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    # While runs are under way, they are told of the signal and waited for.
    return console.exit_code(
        _run, argv, "interrupted while no run was under way; start the same command again"
    )


def _run(argv: Sequence[str]) -> int:
    parsed = definition.parse(argv)
    if parsed is None:
        print(definition.help_text())
        return 0
    return execute(*parsed)


def execute(options: Options, study: Study) -> int:
    """Runs a study, or prints its plan; the exit code is that of the first run that failed."""
    assert options.output_dir is not None
    check_study_folder(options.output_dir, study)
    with console.quiet_tensorflow():  # TFDS, which knows how many samples a set has, loads it
        runs = runs_of(study, options.output_dir)
    if options.dry_run:
        print(plan_text(study, runs))
        return 0
    with locked(RunFolder(options.output_dir)):
        write_study(options.output_dir, study)
        execution = StudyExecution(runs, options.jobs, StudyProgress(runs, sys.stderr))
        try:
            execution.execute()
        finally:
            failures = execution.failures
            _print_failures(failures)
    print(f"{len(runs) - len(failures)} of {len(runs)} runs completed.")
    _report(options.output_dir)
    return failures[0].code if failures else 0


def _report(study_dir: str) -> None:
    """Writes the report; the runs are worth more than it, so what hinders it is said and no more."""
    try:
        report.execute([study_dir], report.Options())
    except BrokenPipeError:
        raise
    except (UserError, OSError) as error:
        again = f"python -m tf_fullbatch.report {shlex.quote(study_dir)}"
        print(f"error: the report was not written ({error}); later: {again}", file=sys.stderr)


def plan_text(study: Study, runs: Sequence[Run]) -> str:
    """The arms with their cost, and what is done already."""
    seeds = len(study.seeds)
    cells: list[list[object]] = []
    for arm in study.arms:
        own = [run for run in runs if run.arm is arm]
        cost, done = own[0].cost, sum(run.is_finished() for run in own)
        samples = None if cost.training_samples is None else f"{cost.training_samples:,}"
        cells.append(
            [arm.name, _rates(own[0]), f"{cost.passes:,}", samples, cost.gradient_evaluations,
             _times(cost.samples, seeds), _times(cost.total, seeds), f"{done} of {seeds}"]
        )  # fmt: skip
    headers = ["arm", "learning rate, highest to last", "passes", "samples per pass"]
    headers += ["gradient evaluations per sample", "samples, all seeds", "gradient evaluations, all seeds"]
    headers += ["runs finished"]
    totals = [run.cost.total for run in runs if run.cost.total is not None]
    lines = [
        study.title,
        f"{len(study.arms)} arms, seeds {', '.join(map(str, study.seeds))}: {len(runs)} runs",
        "",
    ]
    lines += [format_table(headers, cells, "<" + ">" * 7), ""]
    if len(totals) == len(runs):
        lines.append(f"In all {format_count(sum(totals))} gradient evaluations of a sample.")
    else:
        lines.append("The size of a data set is known once it is prepared.")
    return "\n".join(lines)


def _rates(run: Run) -> str | None:
    """The highest learning rate of a run and its last, which tells whether a shortened schedule still decays."""
    config, passes = run.config, run.cost.passes
    update_batch = config.optimizer.batch_size or run.cost.training_samples
    if update_batch is None and config.optimizer.learning_rate_scaling == "none":
        update_batch = 1  # it does not matter
    if update_batch is None:
        return None
    rates = config.learning_rates(update_batch)
    highest = max(rates.rate_at_epoch(epoch) for epoch in range(passes))
    return f"{highest:.3g} to {rates.rate_at_epoch(passes - 1):.3g}"


def _times(count: int | None, factor: int) -> str | None:
    return None if count is None else format_count(count * factor)


def _print_failures(failures: Sequence[Failure]) -> None:
    for failure in failures:
        print(f"error: {failure.run} failed (exit code {failure.code}): {failure.reason}", file=sys.stderr)
