"""The launcher of local workers, with small programs in the place of training."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import unittest
from pathlib import Path

import pytest

from tf_fullbatch.commands.launch_local import Launcher, main
from tf_fullbatch.run.local_cluster import cluster_configs, free_ports

ROOT = Path(__file__).parents[2]

# The launcher as a process: workers run the program in its first argument.
LAUNCHER = """
import sys
from tf_fullbatch.commands.launch_local import Launcher
print("started", flush=True)
sys.exit(Launcher(2, [sys.executable, "-c", sys.argv[1]]).run())
"""


def program(text: str) -> list[str]:
    """A command; in the text, `index` is the worker's place."""
    start = (
        "import json, os, signal, sys, time; index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
    )
    return [sys.executable, "-c", start + textwrap.dedent(text)]


class ConfigTest(unittest.TestCase):
    def test_every_worker_has_the_cluster_and_its_own_place(self):
        configs = [json.loads(text) for text in cluster_configs([4001, 4002, 4003])]
        self.assertEqual([0, 1, 2], [config["task"]["index"] for config in configs])
        for config in configs:
            self.assertEqual(
                ["127.0.0.1:4001", "127.0.0.1:4002", "127.0.0.1:4003"], config["cluster"]["worker"]
            )
            self.assertEqual("worker", config["task"]["type"])

    def test_ports_differ(self):
        self.assertEqual(20, len(set(free_ports(20))))


class LauncherTest(unittest.TestCase):
    def timed(self, workers: int, text: str) -> tuple[int, float]:
        """(exit code, seconds)."""
        started = time.monotonic()
        return Launcher(workers, program(text)).run(), time.monotonic() - started

    def test_all_well(self):
        self.assertEqual(0, Launcher(3, program("sys.exit(0)")).run())

    def test_the_code_of_the_first_that_fails_and_the_others_ended(self):
        code, seconds = self.timed(2, "sys.exit(3) if index else time.sleep(60)")
        self.assertEqual(3, code)
        self.assertLess(seconds, 10)

    @pytest.mark.slow
    def test_one_that_does_not_listen_is_killed(self):
        code, seconds = self.timed(
            2, "signal.signal(signal.SIGTERM, signal.SIG_IGN); sys.exit(4) if index else time.sleep(60)"
        )
        self.assertEqual(4, code)
        self.assertLess(seconds, 10)

    def test_a_killed_worker_counts_as_failed(self):
        code, _ = self.timed(2, "os.kill(os.getpid(), signal.SIGKILL) if index else time.sleep(60)")
        self.assertEqual(128 + signal.SIGKILL, code)

    def test_signals_reach_every_worker_and_all_may_finish(self):
        worker = program(
            """
            def stop(number, frame):
                time.sleep(0.5 + index)  # saves
                sys.exit(5)
            signal.signal(signal.SIGTERM, stop)
            print("ready", flush=True)
            time.sleep(60)
            """
        )
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, worker[-1]], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.assertEqual("started\n", process.stdout.readline())
        self.assertEqual("ready\n", process.stdout.readline())
        self.assertEqual("worker 1: ready\n", process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(5, process.wait(timeout=10))


class CommandTest(unittest.TestCase):
    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tf_fullbatch.launch_local", *arguments],
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_help(self):
        done = self.command("--help")
        self.assertEqual(0, done.returncode)
        self.assertIn("--workers=(default 2)", done.stdout)

    def test_mistakes_are_one_line(self):
        for arguments, said in (
            (["--workers=0", "--"], "--workers=0: must be at least 1"),
            (["--workers=2"], "come after --"),
            (["--worker=2", "--"], "worker"),
        ):
            with self.subTest(arguments=arguments):
                done = self.command(*arguments)
                self.assertEqual((2, 1), (done.returncode, len(done.stderr.splitlines())), done.stderr)
                self.assertIn(said, done.stderr)

    def test_a_mistake_in_the_runs_flags_is_its_own_message(self):
        done = self.command("--workers=2", "--", "--epochs=0")
        self.assertEqual(2, done.returncode)
        self.assertIn("--epochs=0: must be at least 1", done.stderr)

    def test_main_is_importable_without_tensorflow(self):
        self.assertEqual(2, main(["launch_local", "--workers=x", "--"]))


if __name__ == "__main__":
    unittest.main()
