"""--suite=small and --suite=pytorch: rows, ratios, tables and processes."""

import contextlib
import io
import json
import math
import os
import stat
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import pytest

from tf_fullbatch.benchmark import fresh_process, pytorch_suite, small_suite
from tf_fullbatch.benchmark.comparisons import PYTORCH, SMALL, Comparison, Workload
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.commands import benchmark
from tf_fullbatch.errors import RunError, UserError

SGD = Workload(model="mlp", image_size=8, samples=70, micro_batch_size=32, batch_size=32)


class RowsTest(unittest.TestCase):
    def test_a_row(self):
        comparison = Comparison(work=SGD, reference="Keras fit", wanted=0.12)
        row = small_suite.result(
            "sgd", comparison, {"tf_fullbatch": [3.0, 6.0, 3.3], "Keras fit": [6.0, 6.0, 3.0]}
        )
        self.assertEqual(row["steps"], 3)  # 70 samples in steps of 32: the last one is smaller
        self.assertEqual(row["ratio"], {"median": 1.0, "least": 0.5, "largest": 3.3 / 3.0})
        self.assertAlmostEqual(row["seconds_per_step"], 1.1)
        self.assertAlmostEqual(row["reference_seconds_per_step"], 2.0)
        heading, _, line = small_suite.table([row]).splitlines()
        self.assertIn("wanted", heading)
        self.assertEqual(
            line.split(),
            ["sgd", "3", "1100", "Keras", "fit", "2000", "1.000", "0.500", "1.100", "<=", "0.12"],
        )

    def test_every_reference_exists(self):
        self.assertLessEqual({c.reference for c in SMALL.values()}, set(small_suite.REFERENCES))
        for name, comparison in SMALL.items():
            with self.subTest(name):
                self.assertEqual(comparison.work.batch_size is not None, comparison.reference == "Keras fit")
                self.assertEqual(comparison.work.samples % comparison.work.micro_batch_size, 0)

    def test_the_command(self):
        file = Path(self.enterContext(tempfile.TemporaryDirectory())) / "small.json"
        flags = ["--suite=small", "--rows=mlp_pass", "--repeats=2", "--seconds=0", f"--json={file}"]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            self.assertEqual(benchmark.main(["benchmark", *flags]), 0)
        (row,) = json.loads(file.read_text())["rows"]
        self.assertEqual((row["row"], row["reference"], row["wanted"]), ("mlp_pass", "compiled loop", 1.5))
        self.assertEqual([len(times) for times in row["seconds"].values()], [2, 2])
        self.assertGreater(row["ratio"]["least"], 0)
        self.assertIn("\nmlp_pass ", printed.getvalue())
        self.assertNotIn("run of the command line", printed.getvalue())

    @pytest.mark.slow
    def test_a_run_of_the_command_line(self):
        seconds = small_suite.recorded_seconds_per_step(epochs=3)
        self.assertTrue(0 < seconds < 10 and math.isfinite(seconds))


class PyTorchTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def interpreter(self, program):
        """A stand-in for an interpreter with PyTorch: runs a line of Python, with the script's arguments."""
        file = self.folder / "python"
        file.write_text(f"#!{sys.executable}\nimport json, sys\n{program}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return str(file)

    def test_in_turn_with_the_same_work(self):
        seen = []

        def ours(kind, arguments):
            seen.append((kind, arguments))
            return {"seconds": 3.0, "parameters": 7}

        python = self.interpreter(
            "print('noise'); print(json.dumps({'seconds': 6.0, 'parameters': 7, 'arguments': sys.argv[1:]}))"
        )
        options = Options(suite="pytorch", torch_python=python, rows=("mlp_sgd",), repeats=2, seconds=1.5)
        with mock.patch.object(fresh_process, "call", ours):
            (row,) = pytorch_suite.measure(options, lambda text: None)
        self.assertEqual((row["ratio"]["median"], row["wanted"]), (0.5, 0.3))
        work = PYTORCH["mlp_sgd"].work
        self.assertEqual([kind for kind, _ in seen], ["passes"] * 2)
        self.assertEqual((seen[0][1]["seconds"], seen[0][1]["batch_size"]), (1.5, work.batch_size))
        script, *flags = row["processes"]["PyTorch"]["arguments"]
        self.assertTrue(Path(script).is_file())
        self.assertLessEqual(
            {"--seconds=1.5", "--batch_size=32", "--model=mlp", "--samples=8192"}, set(flags)
        )

    def test_another_network_is_refused(self):
        python = self.interpreter("print(json.dumps({'seconds': 6.0, 'parameters': 8}))")
        options = Options(suite="pytorch", torch_python=python, rows=("mlp_sgd",), repeats=1)
        ours = {"seconds": 3.0, "parameters": 7}
        with (
            mock.patch.object(fresh_process, "call", return_value=ours),
            self.assertRaisesRegex(UserError, "mlp_sgd: the networks differ, parameters are .*7.*8"),
        ):
            pytorch_suite.measure(options, lambda text: None)

    def test_what_a_process_says_when_it_fails(self):
        for program, message in (
            ("sys.exit('no module named torch')", "failed: no module named torch"),
            ("print('nothing')", "failed: it printed no JSON"),
            ("pass", "failed: it printed no JSON"),
            ("sys.exit(3)", "failed: exit code 3"),
        ):
            with self.subTest(program), self.assertRaisesRegex(RunError, message):
                fresh_process.call_pytorch(self.interpreter(program), SGD, {})

    def test_the_script_takes_every_field_of_the_work(self):
        script = fresh_process.PYTORCH_SCRIPT.read_text()
        for name in (*Workload.__dataclass_fields__, "seconds", "repeats", "device", "compile"):
            self.assertIn(f'"--{name}"', script)

    def test_a_process_that_takes_too_long_is_ended_with_its_children(self):
        python = self.interpreter(
            "import subprocess, time\nchild = subprocess.Popen(['sleep', '600'])\n"
            f"open({str(self.folder / 'pid')!r}, 'w').write(str(child.pid))\ntime.sleep(600)"
        )
        with self.assertRaises(fresh_process.subprocess.TimeoutExpired):
            fresh_process.call_pytorch(python, SGD, {}, timeout=3)
        status = Path("/proc") / (self.folder / "pid").read_text() / "stat"
        deadline = time.monotonic() + 10
        while not (gone := _is_gone(status)) and time.monotonic() < deadline:
            time.sleep(0.05)  # the signal is sent; its end is the system's
        self.assertTrue(gone, os.getpid())


def _is_gone(status: Path) -> bool:
    """Whether a process has ended, or is dead and waits for whoever collects it."""
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


if __name__ == "__main__":
    unittest.main()
