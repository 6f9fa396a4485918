"""Runs are started one after another or side by side, a failed one is in nobody's way, a signal reaches all."""

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

from tests.studies.studies import study, write_records
from tf_fullbatch import processor
from tf_fullbatch.errors import RunInterruptedError, UserError
from tf_fullbatch.run import processes
from tf_fullbatch.studies import execution
from tf_fullbatch.studies.execution import Failure, StudyExecution, environment_of_job, figures_text
from tf_fullbatch.studies.planned_runs import Run, runs_of
from tf_fullbatch.studies.progress import StudyProgress

FAKE = (sys.executable, str(Path(__file__).with_name("fake_run.py")))
COMPLETES, FAILS, WAITS, IGNORES = (
    "completes",
    "fails",
    "waits",
    "ignores",
)  # in the order of `study`'s learning rates


class ExecutionTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.object(processes, "RUN", FAKE))
        self.out = io.StringIO()

    def runs(self, *names: str, seeds: tuple[int, ...] = (0, 1)) -> list[Run]:
        return [
            run
            for run in runs_of(study(COMPLETES, FAILS, WAITS, IGNORES, seeds=seeds), self.folder)
            if run.arm.name in names
        ]

    def execute(self, runs: list[Run], jobs: int = 1) -> list[Failure]:
        study_execution = StudyExecution(runs, jobs, StudyProgress(runs, self.out))
        study_execution.execute()
        return study_execution.failures

    def test_a_failed_run_is_in_nobodys_way(self):
        runs = self.runs(COMPLETES, FAILS)
        failures = self.execute(runs)
        self.assertEqual(
            [(run, 3) for run in runs if run.arm.name == FAILS], [(f.run, f.code) for f in failures]
        )
        self.assertEqual({"the loss is nan in step 2."}, {failure.reason for failure in failures})
        said = self.out.getvalue().splitlines()
        self.assertEqual("[1/4] completes, seed 0", said[0])
        self.assertRegex(said[1], r"\[1/4\] completes, seed 0: test accuracy 75.00 % in .*\. Study 25%, ETA ")
        self.assertRegex(said[3], r"failed with exit code 3 \(the loss is nan in step 2\)\. Study")
        self.assertIn("Study 100%", said[-1])
        self.assertIn("a line before", runs[1].log.read_text())

    def test_one_that_cannot_be_started_is_in_nobodys_way(self):
        (self.folder / FAILS).touch()  # where its folder is to be
        runs = self.runs(COMPLETES, FAILS, seeds=(0,))
        for jobs in (1, 2):
            (failure,) = self.execute(runs, jobs)
            self.assertEqual((runs[1], 2), (failure.run, failure.code))
            self.assertRegex(failure.reason, "cannot write .*fails/seed-0.log")
            self.assertTrue(runs[0].folder.evaluations.exists())

    def test_one_without_evaluations_is_done(self):
        run = self.runs(COMPLETES, seeds=(0,))[0]
        with mock.patch.object(execution, "read_table", side_effect=UserError("damaged")):
            self.assertEqual([], self.execute([run]))
        self.assertIn("completes, seed 0: done in", self.out.getvalue())

    def test_without_accuracies_losses_are_said(self):
        (run,) = self.runs(COMPLETES, seeds=(0,))
        write_records(run, epochs=2, loss=0.25)
        self.assertEqual("test objective 0.25", figures_text(run))
        write_records(run, epochs=2, loss=float("nan"))
        self.assertEqual("test loss not finite", figures_text(run))

    def test_what_earlier_processes_said_is_no_reason(self):
        run = self.runs(FAILS, seeds=(0,))[0]
        run.log.parent.mkdir()
        run.log.write_text("error: an old one\n")
        with mock.patch.object(
            processes, "RUN", (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
        ):
            (failure,) = self.execute([run])
        self.assertEqual(
            (137, f"it did not say why; {run.log} has all it said"), (failure.code, failure.reason)
        )

    def test_a_signal_while_a_run_is_started_reaches_it(self):
        start = processes.start

        def start_and_signal(*arguments: object, **options: object) -> subprocess.Popen:
            process = start(*arguments, **options)  # type: ignore[arg-type]
            while not (run.folder.path / "waiting").exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)  # before the run is known to be under way
            return process

        run = self.runs(WAITS, seeds=(0,))[0]
        started = time.monotonic()
        with (
            mock.patch.object(processes, "start", start_and_signal),
            self.assertRaises(RunInterruptedError),
        ):
            self.execute([run])
        self.assertLess(time.monotonic() - started, 30)
        self.assertIn("interrupted", self.out.getvalue())

    def test_no_more_jobs_than_runs(self):
        run = self.runs(COMPLETES, seeds=(0,))[0]
        self.execute([run], jobs=8)
        self.assertEqual("-", (run.folder.path / "environment").read_text())

    def test_finished_runs_are_not_run_again(self):
        runs = self.runs(COMPLETES)
        with mock.patch.object(Run, "is_finished", lambda run: run.seed == 0):
            self.execute(runs)
        self.assertFalse(runs[0].folder.path.exists())
        self.assertTrue(runs[1].folder.path.exists())
        self.assertIn("1 of 2 runs are finished already.", self.out.getvalue())

    def test_side_by_side(self):
        runs = self.runs(WAITS, seeds=(0, 1, 2))
        ended = self.execute_and_signal(runs, signal.SIGTERM, jobs=2, waiting=2)
        self.assertIn("SIGTERM", str(ended))
        begun = [run.folder.path.exists() for run in runs]
        self.assertEqual([True, True, False], begun)  # nothing is started after a signal
        self.assertEqual(2, self.out.getvalue().count("interrupted"))
        threads = {(run.folder.path / "environment").read_text() for run in runs[:2]}
        self.assertEqual({str(max(1, processor.cores() // 2))}, threads)

    def test_a_second_signal_ends_at_once_what_does_not_listen(self):
        started = time.monotonic()
        with mock.patch("tf_fullbatch.studies.execution._SAVE_SECONDS", 1000.0):
            self.execute_and_signal(self.runs(IGNORES, seeds=(0,)), signal.SIGTERM, waiting=1, again=True)
        self.assertLess(time.monotonic() - started, 60)

    def test_what_does_not_listen_is_killed(self):
        with mock.patch("tf_fullbatch.studies.execution._SAVE_SECONDS", 0.5):
            self.execute_and_signal(self.runs(IGNORES, seeds=(0,)), signal.SIGTERM, waiting=1)
        self.assertIn("killed; its last checkpoint is kept. Study 25%", self.out.getvalue())

    def execute_and_signal(
        self, runs: list[Run], number: int, *, waiting: int, jobs: int = 1, again: bool = False
    ) -> Exception:
        """Executes runs that wait, and sends this process a signal once so many of them do."""

        def send() -> None:
            while sum((run.folder.path / "waiting").exists() for run in runs) < waiting:
                time.sleep(0.01)
            os.kill(os.getpid(), number)
            if again:
                time.sleep(0.3)  # two that are pending at the same time are one
                os.kill(os.getpid(), number)

        sender = threading.Thread(target=send)
        sender.start()
        with self.assertRaises(RunInterruptedError) as caught:
            self.execute(runs, jobs)
        sender.join()
        return caught.exception

    def test_the_handlers_are_put_back(self):
        before = signal.getsignal(signal.SIGTERM)
        self.execute(self.runs(COMPLETES, seeds=(0,)))
        self.assertIs(before, signal.getsignal(signal.SIGTERM))


class EnvironmentTest(unittest.TestCase):
    def devices(self, visible: str, jobs: int) -> list[str | None]:
        environment = {"CUDA_VISIBLE_DEVICES": visible}
        return [
            environment_of_job(slot, jobs, environment).get("CUDA_VISIBLE_DEVICES") for slot in range(jobs)
        ]

    def test_gpus_are_dealt_out(self):
        self.assertEqual(["0,2", "1,3"], self.devices("0,1,2,3", 2))
        self.assertEqual(["0,3", "1", "2"], self.devices("0,1,2,3", 3))
        self.assertEqual([None, None], self.devices("0", 2))
        self.assertEqual([None, None], self.devices("-1", 2))

    def test_one_job_is_left_alone(self):
        self.assertEqual({}, environment_of_job(0, 1, {"CUDA_VISIBLE_DEVICES": "0,1"}))

    def test_what_the_user_set_stays(self):
        added = environment_of_job(0, 2, {"OMP_NUM_THREADS": "7"})
        self.assertNotIn("OMP_NUM_THREADS", added)
        self.assertIn("TF_NUM_INTRAOP_THREADS", added)


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


class ProgressTest(unittest.TestCase):
    def test_time_left_follows_the_pace_of_this_process(self):
        now = 0.0
        runs = runs_of(study("a", "b"), "nowhere")
        fractions = dict.fromkeys(runs, 0.0)
        fractions[runs[0]] = 1.0  # from an earlier process
        with mock.patch.object(Run, "fraction", lambda run: fractions[run]):
            progress = StudyProgress(runs, out := Terminal(), clock=lambda: now)
            now, fractions[runs[1]] = 10.0, 0.5
            progress.update([runs[1]])
            self.assertRegex(out.getvalue(), r"Study 37%, ETA 50s \| b, seed 0 50%")
            now += 0.5
            before = out.getvalue()
            progress.update([runs[1]])
            self.assertEqual(before, out.getvalue())  # at most once a second
            progress.ended(runs[1], "interrupted")
            self.assertIn("interrupted. Study 37%", out.getvalue())
            progress.ended(runs[1], "failed", failed=True)  # the other half of it is not to be done
            self.assertTrue(re.search(r"Study 42%, ETA 42s", out.getvalue()), out.getvalue())


if __name__ == "__main__":
    unittest.main()
