"""Runs the runs of a study as jobs of a cluster, by submitit: --launcher=slurm."""

import contextlib
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from tf_fullbatch.config import cli_flags
from tf_fullbatch.display.text import counted
from tf_fullbatch.errors import Outcome, RunInterruptedError, UserError
from tf_fullbatch.records.files import read_json, write_json
from tf_fullbatch.run import interruption
from tf_fullbatch.settings import part_options
from tf_fullbatch.studies.cluster_job import RunJob
from tf_fullbatch.studies.execution import Failure, figures_text
from tf_fullbatch.studies.planned_runs import Run
from tf_fullbatch.studies.progress import StudyProgress

if TYPE_CHECKING:
    import submitit

JOBS_FOLDER = "jobs"
"""Of a study: submitit's files, and jobs.json."""
_DEFAULTS: dict[str, Any] = {"timeout_min": 240, "name": "tf_fullbatch"}
_SHARED = ("name", "timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node", "stderr_to_stdout")
"""Options that submitit has for every kind of cluster."""
_ENDS_OF_TIME = 1000
"""How often a job that came to the end of its time goes on in another."""
_POLL_SECONDS = 1.0


def slurm_executor(folder: Path, options: str | None) -> "submitit.Executor":
    """submitit's executor for SLURM.

    Args:
        folder: Where submitit keeps its files, on a file system that the nodes share.
        options: `key=value,key=value`: what sbatch takes, such as "partition=gpu,gpus_per_node=1,timeout_min=600".

    Raises:
        UserError: submitit or SLURM is not there, or an option is refused; nothing is written then.
    """
    given = _DEFAULTS | part_options.parsed_options("slurm", options)
    try:
        import submitit
    except ImportError as error:
        raise UserError("--launcher=slurm needs submitit: pip install 'tf-fullbatch[slurm]'.") from error
    for name in ("nodes", "tasks_per_node"):
        if name in given:
            raise UserError(
                f"--slurm_options: {name} is not for a study, whose runs have one process each. Leave it out."
            )
    if submitit.SlurmExecutor.affinity() <= 0:
        raise UserError(
            "--launcher=slurm: there is no SLURM here (no srun); start it on a machine that submits jobs."
        )
    try:
        executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=_ENDS_OF_TIME)
        executor.update_parameters(
            **{n if n in _SHARED else f"slurm_{n}": value for n, value in given.items()}
        )
    except (ValueError, NameError, TypeError, AssertionError, RuntimeError) as error:
        raise UserError(f"--slurm_options={options}: {' '.join(str(error).split())[:300]}.") from error
    return executor


class ClusterExecution:
    """Submits runs as jobs and waits for them; a job that an earlier process submitted is waited for, not repeated.

    Args:
        runs: Those that are finished are passed over.
        executor: submitit's.
        folder: The study's folder of jobs.
        progress: Is told what happens.
        on_end: Is called when a run has ended, however it did.

    Attributes:
        failures: The runs that failed so far.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        executor: "submitit.Executor",
        folder: Path,
        progress: StudyProgress,
        on_end: Callable[[], None] = lambda: None,
    ):
        self.failures: list[Failure] = []
        self._runs, self._executor, self._progress, self._on_end = list(runs), executor, progress, on_end
        self._book = JobBook(folder)
        self._signal: signal.Signals | None = None
        self._jobs: dict[Run, _Submitted] = {}

    def execute(self) -> None:
        """Runs what is not finished yet.

        Raises:
            RunInterruptedError: A signal ended the waiting; the jobs go on.
        """
        with contextlib.closing(self._progress), interruption.handled_by(self._on_signal):
            for run in self._runs:
                if self._signal is None and not run.is_finished():
                    self._begin(run)
            while self._jobs and self._signal is None:
                for run, job in list(self._jobs.items()):
                    if job.is_over():
                        del self._jobs[run]
                        self._note_end(run, job)
                        self._on_end()
                self._progress.update([run for run in self._jobs if run.fraction() > 0])
                time.sleep(_POLL_SECONDS)
        if self._signal is not None:
            raise RunInterruptedError(
                self._signal.name,
                f"{counted(len(self._jobs), 'job')} of the cluster go on; the same command waits for them again",
            )

    def _begin(self, run: Run) -> None:
        """Waits for the job that has the run already, or submits one."""
        flags = cli_flags.arguments(run.config)
        earlier = self._book.job_of(run, flags, self._executor)
        if earlier is not None:
            self._jobs[run] = _Submitted(earlier)
            self._progress.message(f"{run}: job {earlier.job_id} has it already")
            return
        said = run.log.stat().st_size if run.log.exists() else 0
        try:
            job = self._executor.submit(RunJob(tuple(flags), run.log.absolute()))
        except Exception as error:  # submitit's are plain exceptions
            self._fail(run, 1, f"it could not be submitted: {' '.join(str(error).split())[:300]}")
            return
        self._book.note(run, flags, job.job_id)
        self._jobs[run] = _Submitted(job, said)
        self._progress.message(f"{run}: job {job.job_id}")

    def _note_end(self, run: Run, job: "_Submitted") -> None:
        self._book.forget(run)
        code, reason = job.outcome()
        if code == 0 or run.is_finished():
            self._progress.ended(run, figures_text(run))
        elif code == Outcome.INTERRUPTED.exit_code:
            self._progress.message(f"{run}: interrupted; it goes on in another job")
            self._begin(run)
        else:
            self._fail(run, code, run.folder.last_error(job.earlier_log_bytes) or reason)

    def _fail(self, run: Run, code: int, reason: str) -> None:
        self.failures.append(Failure(run, code, reason))
        self._progress.ended(run, f"failed with exit code {code} ({reason.rstrip('.')})", failed=True)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = signal.Signals(number)


@dataclass(frozen=True, slots=True)
class _Submitted:
    """A job that is waited for; the run's log may have begun with what earlier jobs wrote."""

    job: "submitit.Job"
    earlier_log_bytes: int = 0

    def is_over(self) -> bool:
        """Whether it has ended."""
        return not _lives(self.job) if self.job.state == _LOST else self.job.done()

    def outcome(self) -> tuple[int, str]:
        """The run's exit code, and what to say where the job itself did not come to its end."""
        try:
            return self.job.result(), f"it did not say why; see {self.job.paths.stderr}"
        except Exception as error:  # submitit's are plain exceptions
            lines = [line for line in str(error).splitlines() if line.strip()]
            return 1, f"job {self.job.job_id}: {lines[-1] if lines else type(error).__name__}"


_LOST = "NO PROCESS AND NO RESULT"
"""What submitit says of a job on this machine that another process submitted."""


def _lives(job: "submitit.Job") -> bool:
    import psutil

    return psutil.pid_exists(int(job.job_id)) and not job.paths.result_pickle.exists()


class JobBook:
    """jobs.json: which job has which run, so that a study that is started again finds its jobs.

    Args:
        folder: The study's folder of jobs.
    """

    def __init__(self, folder: Path):
        self._folder, self._path = folder, folder / "jobs.json"
        self._entries: dict[str, dict[str, Any]] = read_json(self._path) if self._path.exists() else {}

    def job_of(self, run: Run, flags: Sequence[str], executor: "submitit.Executor") -> "submitit.Job | None":
        """The job that waits or runs for a run; None where there is none. One with other settings is cancelled."""
        entry = self._entries.get(self._name(run))
        if entry is None:
            return None
        kind = getattr(executor, "_executor", executor).job_class
        job = kind(executor.folder, str(entry["job"]))
        state = job.watcher.get_state(job.job_id, mode="force") if job.state != _LOST else _LOST
        if job.done() and not (state == _LOST and _lives(job)):
            return None
        if state == "UNKNOWN" and not job.paths.result_pickle.exists():  # the cluster has forgotten it
            return None
        if entry["flags"] != _without_folder(flags):
            job.cancel(check=False)
            return None
        return job

    def note(self, run: Run, flags: Sequence[str], job_id: str) -> None:
        """Writes down a job."""
        self._entries[self._name(run)] = {"job": job_id, "flags": _without_folder(flags)}
        self._write()

    def forget(self, run: Run) -> None:
        """Strikes out a job that has ended."""
        self._entries.pop(self._name(run), None)
        self._write()

    def _name(self, run: Run) -> str:
        """A run's folder within the study's."""
        return run.folder.path.relative_to(self._folder.parent).as_posix()

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._path, self._entries)


def _without_folder(flags: Sequence[str]) -> list[str]:
    """The flags that say what a run is, rather than how its folder was called from where it was started."""
    return [flag for flag in flags if not flag.startswith("--output_dir=")]
