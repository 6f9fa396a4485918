"""Workers of a run that are killed, stopped or told to end."""

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.processes import Process, finish, two_at_a_time, until
from tests.faults.runs import SHORT, SHORT_STEPS, FaultTestCase
from tests.faults.tally import faults
from tf_fullbatch.run.local_cluster import cluster_configs, free_ports

pytestmark = pytest.mark.faults

LAUNCHER = ("--workers=2",)
ARGUMENTS = (*SHORT, "--micro_batch_size=32", "--strategy=multi_worker")
ROWS = 9
TOGETHER_SECONDS = 10.0
"""Within which the launcher ends all workers where one was killed."""
LOST_SECONDS = 130.0
"""Within which a worker notices by itself that another one does not answer: two minutes and a chunk."""


class LauncherTest(FaultTestCase):
    def test_a_killed_worker_ends_all_and_the_run_goes_on(self):
        whole = self.undisturbed(*ARGUMENTS, launcher=LAUNCHER)
        for index in (0, 1):
            folder = self.folder / str(index)
            with self.subTest(worker=index), Process(folder, *ARGUMENTS, launcher=LAUNCHER) as process:
                process.reach(ROWS)
                with faults("worker killed under the launcher"):
                    workers = process.workers()
                    workers[index].kill()
                    ended = process.end(TOGETHER_SECONDS)
                    self.assertNotEqual(0, ended.code)
                    self.assertNotIn("Traceback", ended.err)
                    until(lambda workers=workers: not any(w.is_running() for w in workers), 1.0)
                self.assert_done(finish(folder, *ARGUMENTS, launcher=LAUNCHER))
                self.assert_same_run(whole, folder)

    def test_sigterm_stops_all_and_the_run_goes_on(self):
        whole, folder = self.undisturbed(*ARGUMENTS, launcher=LAUNCHER), self.folder / "run"
        for row in (ROWS, SHORT_STEPS // 2):
            with Process(folder, *ARGUMENTS, launcher=LAUNCHER) as process:
                process.reach(row)
                workers = process.workers()
                with faults("SIGTERM to the launcher"):
                    process.send(signal.SIGTERM)
                    ended = process.end(60.0)
                    self.assertEqual(5, ended.code, ended.err)
                    self.assertRegex(ended.err, r"error: interrupted by SIGTERM: step-\d+ is kept")
                    self.assertNotIn("Traceback", ended.err)
                    self.assertFalse(any(worker.is_running() for worker in workers))
        self.assert_done(finish(folder, *ARGUMENTS, launcher=LAUNCHER))
        self.assert_same_run(whole, folder)

    def test_the_workers_end_with_a_killed_launcher(self):
        folder = self.folder / "run"
        with Process(folder, *ARGUMENTS, launcher=LAUNCHER) as process:
            process.reach(1)
            with faults("launcher killed"):
                workers = process.workers()
                process.kill()
                until(lambda: not any(worker.is_running() for worker in workers), 30.0, "end of the workers")


class LostWorkerTest(FaultTestCase):
    """Two workers started by hand: the one that is left notices by itself."""

    def lose(self, case: tuple[int, int]) -> Path:
        """Sends a signal to one worker and waits for the end of the other; the folder of their run."""
        index, number = case
        folder = self.folder / f"{index}-{number}"
        with ExitStack() as stack:
            workers = [
                stack.enter_context(Process(folder, *ARGUMENTS, environment={"TF_CONFIG": config}))
                for config in cluster_configs(free_ports(2))
            ]
            workers[0].reach(ROWS)
            with faults(f"{number.name} to a worker"):
                workers[index].send(number)
                pattern = r"another worker failed or does not answer .*End all workers"
                self.assert_ended(workers[1 - index].end(LOST_SECONDS), 6, pattern)
        return folder

    def test_the_other_worker_ends_and_the_run_goes_on(self):
        whole = self.undisturbed(*ARGUMENTS, launcher=LAUNCHER)
        cases = [(index, number) for number in (signal.SIGKILL, signal.SIGSTOP) for index in (0, 1)]
        for folder in two_at_a_time(self.lose, cases):
            with self.subTest(folder=folder.name):
                self.assert_done(finish(folder, *ARGUMENTS, launcher=LAUNCHER))
                self.assert_same_run(whole, folder)
