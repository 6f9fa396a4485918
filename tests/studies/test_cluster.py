"""Runs as jobs of submitit's local executor: submitted, found again, and gone on with after a preemption."""

import io
import os
import signal
import sys
import tempfile
import threading
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from tests.studies.studies import study
from tf_fullbatch.config import cli_flags
from tf_fullbatch.errors import RunInterruptedError, UserError
from tf_fullbatch.run import processes
from tf_fullbatch.studies import cluster, cluster_job
from tf_fullbatch.studies.cluster import ClusterExecution, slurm_executor
from tf_fullbatch.studies.cluster_job import RunJob
from tf_fullbatch.studies.planned_runs import Run, runs_of
from tf_fullbatch.studies.progress import StudyProgress

try:
    import submitit
except ImportError:
    submitit = None

FAKE = (sys.executable, str(Path(__file__).with_name("fake_run.py")))
COMPLETES, FAILS, WAITS = "completes", "fails", "waits"  # in the order of `study`'s learning rates


class FakeJob(RunJob):
    """A run that is faked in the job's process too."""

    def __call__(self) -> int:
        processes.RUN = FAKE
        return super().__call__()

    def checkpoint(self) -> "submitit.helpers.DelayedSubmission":
        """As its base, of its own kind."""
        super().checkpoint()
        return submitit.helpers.DelayedSubmission(FakeJob(self._arguments, self._log))


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Until it holds."""
    stop_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > stop_at:
            raise AssertionError("it did not come true")
        time.sleep(0.02)


@unittest.skipIf(submitit is None, "submitit is not installed")
class ClusterTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.object(cluster, "RunJob", FakeJob))
        self.enterContext(mock.patch.object(cluster, "_POLL_SECONDS", 0.05))
        self.enterContext(mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))))
        self.enterContext(
            mock.patch("submitit.core.core.Job._results_timeout_s", 0.5)
        )  # for slow file systems
        self.out = io.StringIO()

    def runs(self, *names: str) -> list[Run]:
        runs = runs_of(study(COMPLETES, FAILS, WAITS, seeds=(0,)), self.folder)
        return [run for run in runs if run.arm.name in names]

    def execution(self, runs: list[Run], kind: str = "local") -> ClusterExecution:
        folder = self.folder / "jobs"
        executor = submitit.AutoExecutor(folder, cluster=kind)
        executor.update_parameters(timeout_min=60)
        return ClusterExecution(runs, executor, folder, StudyProgress(runs, self.out))

    def in_thread(self, execution: ClusterExecution) -> threading.Thread:
        """Waits for jobs beside the test, which may not take signals there."""
        thread = threading.Thread(target=execution.execute)
        self.enterContext(mock.patch("signal.signal"))
        thread.start()
        return thread

    def test_completed_and_failed(self):
        runs = self.runs(COMPLETES, FAILS)
        execution = self.execution(runs)
        execution.execute()
        (failure,) = execution.failures
        self.assertEqual(
            (FAILS, 3, "the loss is nan in step 2."), (failure.run.arm.name, failure.code, failure.reason)
        )
        self.assertIn("completes, seed 0: test accuracy 75.00 %", self.out.getvalue())
        self.assertEqual("{}\n", (self.folder / "jobs" / "jobs.json").read_text())

    def test_one_that_cannot_be_submitted_is_in_nobodys_way(self):
        runs = self.runs(COMPLETES, FAILS)
        execution = self.execution(runs)
        submit = execution._executor.submit
        refused = [RuntimeError("sbatch: error: invalid partition"), submit]
        with mock.patch.object(execution._executor, "submit", lambda job: _next(refused)(job)):
            execution.execute()
        self.assertEqual([(COMPLETES, 1, "it could not be submitted: sbatch: error: invalid partition"),
                          (FAILS, 3, "the loss is nan in step 2.")],
                         [(f.run.arm.name, f.code, f.reason) for f in execution.failures])  # fmt: skip

    def test_a_preempted_job_is_requeued_and_goes_on(self):
        (run,) = self.runs(WAITS)
        execution = self.execution([run])
        thread = self.in_thread(execution)
        waiting = run.folder.path / "waiting"
        wait_for(waiting.exists)
        waiting.unlink()
        (submitted,) = execution._jobs.values()
        first = submitted.job.job_id
        for task in _tasks_of(int(first)):  # what a cluster sends
            os.kill(task, signal.SIGUSR2)
        wait_for(waiting.exists)  # the run was ended, and started again in the same job
        self.assertEqual(first, submitted.job.job_id)
        self.assertIn("study: ended with exit code 5 after", run.log.read_text())
        self.assertIn("Requeued job", submitted.job.stdout() + submitted.job.stderr())
        for task in _runs_of_job(int(first)):  # the run alone is told: its job asks for the requeue
            waiting.unlink()
            os.kill(task, signal.SIGTERM)
        wait_for(waiting.exists)
        for process in (*_runs_of_job(int(first)), *_tasks_of(int(first)), int(first)):
            os.kill(process, signal.SIGKILL)
        thread.join(60)
        (failure,) = execution.failures
        self.assertEqual((1, True), (failure.code, failure.reason.startswith("job ")))

    def test_stopped_and_started_again_nothing_runs_twice(self):
        (run,) = self.runs(WAITS)
        execution = self.execution([run])

        def stop() -> None:
            wait_for((run.folder.path / "waiting").exists)
            os.kill(os.getpid(), signal.SIGINT)

        stopper = threading.Thread(target=stop)
        stopper.start()
        with self.assertRaisesRegex(RunInterruptedError, "1 job of the cluster go"):
            execution.execute()
        stopper.join()
        (submitted,) = execution._jobs.values()
        controller = int(submitted.job.job_id)
        again = self.execution([run])
        with mock.patch.dict("submitit.local.local._PROCESSES", clear=True):
            thread = self.in_thread(again)
            wait_for(lambda: "has it already" in self.out.getvalue())
        self.assertEqual([controller], [int(job.job.job_id) for job in again._jobs.values()])
        for process in (*_runs_of_job(controller), *_tasks_of(controller), controller):
            os.kill(process, signal.SIGKILL)
        submitted.job._process.wait()  # ours; the cluster's would be gone
        thread.join(60)
        self.assertEqual(1, len(again.failures))

    def test_a_job_with_other_settings_is_cancelled(self):
        (run,) = self.runs(COMPLETES)
        book = cluster.JobBook(self.folder / "jobs")
        book.note(run, ["--epochs=1"], "123")
        job = mock.Mock(
            **{"done.return_value": False, "state": "RUNNING", "watcher.get_state.return_value": "RUNNING"}
        )
        executor = mock.Mock(spec=["job_class", "folder"], job_class=mock.Mock(return_value=job))
        self.assertIsNone(book.job_of(run, cli_flags.arguments(run.config), executor))
        job.cancel.assert_called_once_with(check=False)
        self.assertIs(job, book.job_of(run, ["--epochs=1"], executor))
        job.watcher.get_state.return_value = "UNKNOWN"
        job.paths.result_pickle.exists.return_value = False
        self.assertIsNone(book.job_of(run, ["--epochs=1"], executor))

    def test_in_this_process(self):
        runs = self.runs(COMPLETES)
        with mock.patch.object(processes, "RUN", FAKE):
            self.execution(runs, "debug").execute()
        self.assertTrue(runs[0].folder.evaluations.exists())

    def test_a_run_that_does_not_save_is_killed(self):
        (run,) = self.runs(WAITS)
        run.folder.path.parent.mkdir()
        job = RunJob((*cli_flags.arguments(run.config), "--learning_rate=0.4"), run.log)  # ignores SIGTERM
        with mock.patch.object(processes, "RUN", FAKE), mock.patch.object(cluster_job, "_SAVE_SECONDS", 0.1):
            thread = threading.Thread(target=job)
            thread.start()
            wait_for((run.folder.path / "waiting").exists)
            job.checkpoint()
            thread.join(60)
        self.assertEqual(-signal.SIGKILL, job._process.returncode)


class OptionsTest(unittest.TestCase):
    def test_without_submitit(self):
        with (
            mock.patch.dict(sys.modules, submitit=None),
            self.assertRaisesRegex(UserError, "pip install 'tf-fullb"),
        ):
            slurm_executor(Path("nowhere"), None)

    @unittest.skipIf(submitit is None, "submitit is not installed")
    def test_without_slurm(self):
        with (
            mock.patch("shutil.which", return_value=None),
            self.assertRaisesRegex(UserError, "there is no SLURM"),
        ):
            slurm_executor(Path("nowhere"), None)

    @unittest.skipIf(submitit is None, "submitit is not installed")
    def test_options(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch("shutil.which", return_value="/bin/srun"):
            executor = slurm_executor(Path(folder), "partition=gpu,gpus_per_node=2,timeout_min=600")
            self.assertEqual({"partition": "gpu", "gpus_per_node": 2, "time": 600, "job_name": "tf_fullbatch"},
                             executor._executor.parameters)  # fmt: skip
            for options, said in (
                ("partion=gpu", "Unknown argument 'partion'"),
                ("timeout_min=long", "timeout_min.*expected type"),
                ("nodes=2", "nodes is not for a study"),
                ("gpu", "is no key=value"),
            ):
                with self.subTest(options), self.assertRaisesRegex(UserError, said) as caught:
                    slurm_executor(Path(folder), options)
                self.assertNotIn("\n", str(caught.exception))


def _next(outcomes: list) -> Callable:
    """The first of them, raised where it is an error."""
    outcome = outcomes.pop(0)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _tasks_of(controller: int) -> list[int]:
    """The processes of submitit's that a local job has."""
    import psutil

    return [child.pid for child in psutil.Process(controller).children()]


def _runs_of_job(controller: int) -> list[int]:
    """The runs' processes of a local job."""
    import psutil

    return [run.pid for task in psutil.Process(controller).children() for run in task.children()]


if __name__ == "__main__":
    unittest.main()
