"""The command `python -m tf_fullbatch.study`: several runs, each with several seeds, to be compared."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tf_fullbatch.commands import console, report
from tf_fullbatch.display.tensorflow_log import quiet_tensorflow
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.study_file import Study
from tf_fullbatch.studies import definition
from tf_fullbatch.studies.cluster import JOBS_FOLDER, slurm_executor
from tf_fullbatch.studies.conduct import StudyConduct, diverged
from tf_fullbatch.studies.execution import Failure
from tf_fullbatch.studies.options import Options, help_text
from tf_fullbatch.studies.plan import plan_text


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    # While runs are under way, they are told of the signal and waited for.
    again = "interrupted while no run was under way; start the same command again"
    return console.exit_code(argv, definition.parse, help_text, lambda parsed: execute(*parsed), again)


def execute(options: Options, study: Study) -> int:
    """Runs a study, or prints its plan; the exit code is that of the first run that failed."""
    assert options.output_dir is not None
    executor = None
    if options.launcher == "slurm":
        executor = slurm_executor(Path(options.output_dir) / JOBS_FOLDER, options.slurm_options)
    with quiet_tensorflow():  # TFDS, which knows how many samples a set has, loads it
        conduct = StudyConduct(study, options.output_dir, options.jobs, sys.stderr, executor)
    if options.dry_run:
        jobs = len(conduct.runs) if executor else options.jobs
        print(plan_text(conduct, jobs, calibrate=options.calibrate))
        return 0
    try:
        conduct.execute()
    finally:
        _print_failures([failure for failure in conduct.failures if not diverged(failure)])
    completed = sum(run.is_finished() for run in conduct.runs)
    print(f"{completed} of {len(conduct.runs)} runs completed.")
    _report(options.output_dir)
    return conduct.exit_code()


def _report(study_dir: str) -> None:
    """Writes the report; the runs are worth more than it, so what hinders it is said and no more."""
    try:
        report.execute([study_dir], report.Options())
    except BrokenPipeError:
        raise
    except (UserError, OSError) as error:
        again = f"python -m tf_fullbatch.report {shlex.quote(study_dir)}"
        print(f"error: the report was not written ({error}); later: {again}", file=sys.stderr)


def _print_failures(failures: Sequence[Failure]) -> None:
    """Names the runs that failed; why was said when they did, and is in the report."""
    if failures:
        named = "; ".join(f"{failure.run} (exit code {failure.code})" for failure in failures)
        print(f"error: {len(failures)} failed, as said above: {named}", file=sys.stderr)
