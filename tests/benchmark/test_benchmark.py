"""The benchmark command: its flags, its arithmetic, and a small run of each of its measurements."""

import contextlib
import io
import json
import math
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from tf_fullbatch.benchmark import device, loops, options, startup, step_suite, timing, workloads
from tf_fullbatch.benchmark.comparisons import Workload
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.step_suite import BARE_LOOP, Configuration, figures, jit_settings
from tf_fullbatch.benchmark.timing import Timing
from tf_fullbatch.commands import benchmark
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.models.gradient_flops import gradient_flops
from tf_fullbatch.run.devices import precision

ROOT = Path(__file__).parents[2]
SMALL = ("--model=linear", "--image_size=4", "--num_classes=2", "--samples=10", "--micro_batch_size=4")
LINEAR = Workload(model="linear", image_size=4, num_classes=2, samples=10, micro_batch_size=4)


class FlagsTest(unittest.TestCase):
    def test_defaults(self):
        self.assertEqual(options.parse(["benchmark"]), Options())

    def test_values(self):
        flags = ("penalties=none,nested_tape", "dtype_policies=tf32", "jit_compile=on,off", "memory_sweep=3,5",
                 "first_micro_batch", "samples=7")  # fmt: skip
        parsed = options.parse(["benchmark", *(f"--{flag}" for flag in flags)])
        self.assertEqual(
            parsed,
            Options(
                penalties=("none", "nested_tape"),
                dtype_policies=("tf32",),
                jit_compile=("on", "off"),
                memory_sweep=(3, 5),
                first_micro_batch=True,
                samples=7,
            ),
        )

    def test_refused(self):
        for flag, message in (
            (
                "--penalties=none,sideways",
                "--penalties=none,sideways: not sideways: accepted are none, nested_tape",
            ),
            ("--penalties=", "name at least one of none"),
            ("--penalties=none,none", "comes twice"),
            ("--dtype_policies=float16", "--dtype_policies=float16: accepted are float32, tf32"),
            ("--jit_compile=maybe", "accepted are auto, on, off"),
            (
                "--model=vgg",
                "--model=vgg: did you mean vgg.* .python -m tf_fullbatch.benchmark --help lists them",
            ),
            ("--samples=0", "--samples=0: must be at least 1"),
            ("--repeats=many", "many"),
            ("--memory_sweep=10,x", "memory_sweep=10,x: expected a whole number"),
            ("--memory_sweep=0", "--memory_sweep=.*: must be at least 1"),
            ("--json=/no/such/folder/a.json", "file in an existing folder"),
            (f"--json={ROOT}", "file in an existing folder"),
            ("--speed=9", "speed.*--help"),
            (
                "--suite=tiny",
                "--suite=tiny: accepted are step, small, pytorch, curvature, optimizers, streaming, augmentation, "
                "scaling, models, gpu",
            ),
            ("--rows=mlp", "--rows=mlp has no effect with --suite=step: leave it unset"),
            ("--fresh", "--fresh=True has no effect with --suite=step"),
            ("--suite=small --samples=3", "--samples=3 has no effect with --suite=small"),
            (
                "--suite=small --rows=mlp_pass,resnet18_float32",
                "--rows=.*: accepted are mlp_pass, .*resnet18_pass",
            ),
            ("--suite=small --rows=mlp_pass,mlp_pass", "comes twice"),
            ("--suite=small --seconds=-1", "--seconds=-1.0: must be at least 0"),
            ("--suite=pytorch", "needs --torch_python=PATH"),
            (
                "--suite=pytorch --torch_python=/no/python",
                "--torch_python=/no/python: give the path of a Python",
            ),
            ("--suite=gpu", "needs --report=DIR"),
            (f"--suite=gpu --report={__file__}", "give the path of a folder"),
            ("--suite=gpu --report=x --minutes=0", "--minutes=0.0: must be above 0"),
            ("--suite=gpu --report=x --scale=huge", "accepted are full, small"),
            ("--suite=gpu --report=x --device=tpu", "accepted are gpu, cpu"),
            ("--suite=gpu --report=x --json=y", "--json=y has no effect with --suite=gpu"),
            ("fast", "unexpected argument 'fast'"),
        ):
            with self.subTest(flag), self.assertRaisesRegex(UserError, message):
                options.parse(["benchmark", *flag.split()])

    def test_help_names_every_option(self):
        self.assertIsNone(options.parse(["benchmark", "--help"]))
        for name in Options.__dataclass_fields__:
            self.assertIn(f"  --{name}=", options.help_text())

    def test_error_is_one_line_and_comes_without_tensorflow(self):
        code = (
            "import sys; from tf_fullbatch.commands import benchmark; code = benchmark.main(['', '--samples=-1']);"
            "print('tensorflow' in sys.modules); sys.exit(code)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        self.assertEqual(done.returncode, Outcome.USER_ERROR.exit_code)
        self.assertEqual(done.stderr, "error: --samples=-1: must be at least 1.\n")
        self.assertEqual(done.stdout, "False\n")


class FiguresTest(unittest.TestCase):
    bare, plain, nested = (
        Configuration("float32", False, loop) for loop in (BARE_LOOP, "none", "nested_tape")
    )
    half = Configuration("mixed_bfloat16", False, "none")

    def test_ratios_are_taken_within_rounds(self):
        # A machine three times slower in its second round, ten times in its third: ratios stay.
        times = {self.bare: [1.0, 3.0, 10.0], self.plain: [1.1, 3.3, 11.0], self.nested: [2.2, 6.6, 22.0]}
        results = figures(times, samples=33)
        self.assertAlmostEqual(results[self.nested].to_bare_loop, 2.2)
        self.assertAlmostEqual(results[self.nested].to_no_penalty, 2.0)
        self.assertAlmostEqual(results[self.plain].to_bare_loop, 1.1)
        self.assertAlmostEqual(results[self.plain].to_no_penalty, 1.0)
        self.assertAlmostEqual(results[self.bare].to_bare_loop, 1.0)
        self.assertIsNone(results[self.bare].to_no_penalty)
        self.assertAlmostEqual(results[self.plain].seconds, 3.3)
        self.assertAlmostEqual(results[self.plain].images_per_second, 10.0)

    def test_median_of_ratios_is_not_ratio_of_medians(self):
        found = timing.spread(timing.ratios([2.0, 3.0, 40.0], [1.0, 4.0, 10.0]))
        self.assertEqual(found, (2.0, 0.75, 4.0))

    def test_speed_up_compares_the_same_loop_in_float32(self):
        results = figures({self.plain: [3.0, 6.0], self.half: [2.0, 4.0]}, samples=1)
        self.assertAlmostEqual(results[self.half].speed_up, 1.5)
        self.assertAlmostEqual(results[self.plain].speed_up, 1.0)
        self.assertAlmostEqual(results[self.half].to_no_penalty, 1.0)
        self.assertIsNone(results[self.half].to_bare_loop)
        self.assertIsNone(figures({self.half: [1.0]}, samples=1)[self.half].speed_up)

    def test_compiled_and_uncompiled_have_their_own_references(self):
        compiled = [c._replace(jit_compile=True) for c in (self.bare, self.plain)]
        times = {self.bare: [1.0], self.plain: [2.0], compiled[0]: [10.0], compiled[1]: [30.0]}
        results = figures(times, samples=1)
        self.assertAlmostEqual(results[self.plain].to_bare_loop, 2.0)
        self.assertAlmostEqual(results[compiled[1]].to_bare_loop, 3.0)

    def test_uneven_times_are_refused(self):
        for times in ({self.bare: [1.0], self.plain: [1.0, 2.0]}, {self.bare: []}, {}):
            with self.assertRaisesRegex(ValueError, "one time per round"):
                figures(times, samples=1)

    def test_operations_count_a_product_as_one_more_gradient(self):
        peak = device.Peaks(3 * 2**20, None)
        timings = {c: [Timing(2.0, 1.0, peak)] for c in (self.bare, self.plain, self.nested)}
        results = step_suite.results(timings, samples=500, gradient_flops=1e9)
        self.assertEqual([r["tflops_per_second"] for r in results], [0.25, 0.25, 0.5])
        self.assertEqual([r["peak_memory_bytes"] for r in results], [3 * 2**20] * 3)
        results = step_suite.results(timings, samples=500, gradient_flops=None)
        self.assertEqual([r["tflops_per_second"] for r in results], [None] * 3)
        self.assertIn("  -  ", step_suite.table(results))

    def test_memory_growth_is_compared_with_the_data(self):
        runs = [
            {"samples": 10, "data_bytes": 100, "host": 1000, "device": None},
            {"samples": 30, "data_bytes": 300, "host": 1150, "device": None},
        ]
        first, second = startup.memory_results(runs)
        self.assertIsNone(first["quotient"])
        self.assertEqual((second["peak_growth"], second["data_growth"]), (150, 200))
        self.assertAlmostEqual(second["quotient"], 0.75)


class TimedPassesTest(tf.test.TestCase):
    def test_operations_of_resnet18(self):
        # 0.56 G multiply-adds at 32x32, as counters of PyTorch models report for this network.
        net = workloads.network(Workload(model="resnet18", samples=1, micro_batch_size=1))
        self.assertAllClose(gradient_flops(net), 6 * 0.56e9, rtol=0.01)

    def test_operations_of_one_matrix(self):
        self.assertEqual(gradient_flops(workloads.network(LINEAR)), 6 * 4 * 4 * 3 * 2)

    def test_data_are_random_and_repeatable(self):
        work = Workload(model="linear", image_size=8, num_classes=3, samples=50, micro_batch_size=5)
        data = workloads.random_data(work)
        self.assertEqual((data.images.shape, data.images.dtype), ((50, 8, 8, 3), "uint8"))
        self.assertAllEqual(sorted(set(data.labels)), [0, 1, 2])
        self.assertGreater(len(set(data.images.ravel())), 250)
        self.assertAllEqual(workloads.random_data(work).images, data.images)

    def test_precision_is_set_and_put_back(self):
        tf32 = tf.config.experimental.tensor_float_32_execution_enabled
        before = (keras.config.dtype_policy().name, keras.config.floatx(), tf32())
        for policy, inside in (
            ("float32", ("float32", "float32", False)),
            ("tf32", ("float32", "float32", True)),
            ("float64", ("float64", "float64", False)),
            ("mixed_bfloat16", ("mixed_bfloat16", "float32", False)),
        ):
            with precision(policy):
                self.assertEqual((keras.config.dtype_policy().name, keras.config.floatx(), tf32()), inside)
            self.assertEqual((keras.config.dtype_policy().name, keras.config.floatx(), tf32()), before)

    def test_both_sides_see_every_sample(self):
        data, net = workloads.random_data(LINEAR), workloads.network(LINEAR)
        self.assertGreater(loops.bare_loop(net, LINEAR, data, False)(1), 0)
        before = [v.numpy() for v in net.trainable_variables]
        model = loops.published_model(net, "nested_tape", 4, "off")
        self.assertGreater(loops.fit_of(model, LINEAR, data)(1), 0)
        moved = [abs(v.numpy() - b).max() for v, b in zip(net.trainable_variables, before, strict=True)]
        self.assertGreater(min(moved), 0)

    def test_auto_follows_the_device_and_is_measured_once(self):
        gpu = bool(tf.config.list_physical_devices("GPU"))
        self.assertEqual(jit_settings(Options(jit_compile=("auto",))), [gpu])
        self.assertEqual(set(jit_settings(Options(jit_compile=("auto", "on", "off")))), {True, False})
        self.assertLen(jit_settings(Options(jit_compile=("auto", "on", "off"))), 2)

    def test_peak_memory_sees_an_allocation(self):
        device.reset_peaks()
        before = device.peaks().host
        array = bytearray(b"\1" * 2**26)
        self.assertGreaterEqual(device.peaks().host, before + len(array) // 2)


class CommandTest(unittest.TestCase):
    def test_speed(self):
        file = Path(self.enterContext(tempfile.TemporaryDirectory())) / "speed.json"
        flags = (
            "--repeats=2",
            "--penalties=none,nested_tape",
            "--dtype_policies=float32,float64",
            "--jit_compile=off",
        )
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = benchmark.main(["benchmark", *SMALL, *flags, f"--json={file}"])
        self.assertEqual(code, 0)
        for column in step_suite.COLUMNS:
            self.assertIn(column, printed.getvalue())
        results = json.loads(file.read_text())
        names = [(r["dtype_policy"], r["loop"]) for r in results["speed"]]
        loop_names = (BARE_LOOP, "none", "nested_tape")
        self.assertEqual(names, [(p, c) for p in ("float32", "float64") for c in loop_names])
        for policy, loop in names:
            self.assertIn(f"\n{policy}, {loop} ", printed.getvalue())
        for result in results["speed"]:
            seconds = [timing["seconds"] for timing in result["rounds"]]
            self.assertEqual(len(seconds), 2)
            self.assertTrue(math.isclose(result["images_per_second"], 10 / (sum(seconds) / 2)))
            self.assertGreater(min(timing["peak"]["host"] for timing in result["rounds"]), 2**20)
        self.assertEqual(results["options"]["samples"], 10)
        self.assertGreater(results["machine"]["cores"], 0)
        self.assertIsNotNone(results["versions"]["tensorflow"])

    @pytest.mark.slow
    def test_fresh_processes(self):
        file = Path(self.enterContext(tempfile.TemporaryDirectory())) / "fresh.json"
        code = benchmark.main(
            [
                "benchmark",
                *SMALL,
                "--penalties=none",
                "--memory_sweep=16",
                "--first_micro_batch",
                "--help_seconds",
                "--repeats=2",
                f"--json={file}",
            ]
        )
        self.assertEqual(code, 0)
        results = json.loads(file.read_text())
        (first,) = results["first_micro_batch"]
        self.assertEqual((first["dtype_policy"], first["penalty"]), ("float32", "none"))
        self.assertGreater(first["seconds"], 0)
        self.assertNotIn("speed", results)
        (swept,) = results["memory_sweep"]
        # Images as bytes, labels as int32, sample ids as int64.
        self.assertEqual((swept["samples"], swept["data_bytes"]), (16, 16 * (32 * 32 * 3 + 4 + 8)))
        self.assertGreater(swept["host"], 2**25)
        self.assertEqual([row["command"] for row in results["help_seconds"]], list(startup.COMMANDS))
        for row in results["help_seconds"]:
            self.assertEqual(len(row["seconds"]), 2)
            self.assertGreater(min(row["seconds"]), 0)


if __name__ == "__main__":
    unittest.main()
