"""--suite=gpu: its parts, what is repeated, and the report."""

import dataclasses
import inspect
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import pytest
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from tf_fullbatch.benchmark import fresh_process, gpu_parts, gpu_report, gpu_suite
from tf_fullbatch.benchmark.comparisons import Workload
from tf_fullbatch.benchmark.in_process import KINDS
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.config.step import PENALTIES
from tf_fullbatch.errors import RunError, UserError

MACHINE = {
    "device": "A card",
    "bfloat16_instructions": None,
    "cores": 2,
    "intra_op_threads": 0,
    "inter_op_threads": 0,
}
WHERE = {
    "machine": MACHINE,
    "versions": {"python": "3"},
    "gpus": 1,
    "cuda": "12",
    "cudnn": None,
    "git_revision": "a1",
}


def speed(policy, size, penalty, seconds, jit=True):
    """What the part "speed" finds of 1,000 images."""
    return {
        "dtype_policy": policy,
        "jit_compile": jit,
        "loop": penalty,
        "micro_batch_size": size,
        "seconds": seconds,
        "images_per_second": 1000 / seconds,
        "tflops_per_second": 5 / seconds,
        "peak_memory_bytes": 3 * 2**20,
        "rounds": [{"seconds": seconds * share} for share in (0.5, 1, 2)],
    }


class PartsTest(unittest.TestCase):
    def test_each_scale_fits_what_is_measured(self):
        for scale in gpu_suite.SCALES:
            options = Options(suite="gpu", report="x", scale=scale, torch_python=sys.executable)
            parts = gpu_suite.parts(options)
            self.assertEqual(len({part.name for part in parts}), len(parts))
            for part in parts:
                with self.subTest(scale=scale, part=part.name):
                    if part.kind == "pytorch":
                        Workload(**part.arguments["work"])
                    else:
                        inspect.signature(KINDS[part.kind]).bind(**part.arguments)
                    if part.kind in ("speed", "profile"):
                        fields = Workload.__dataclass_fields__
                        Workload(**{k: v for k, v in part.arguments.items() if k in fields})

    def test_xla_is_not_asked_for_where_it_is_refused(self):
        for scale in gpu_suite.SCALES:
            asked = [
                (part.arguments["jit_compile"], part.arguments["penalty"])
                for part in gpu_suite.parts(Options(suite="gpu", report="x", scale=scale))
                if "penalty" in part.arguments
            ]
            asked += [case[1:] for case in gpu_suite.SCALES[scale].trajectories]
            self.assertNotIn(("on", "forward_over_reverse"), asked)
            self.assertIn(("off", "forward_over_reverse"), asked)
            self.assertIn(("on", "nested_tape"), asked)

    def test_the_full_scale_covers_the_table(self):
        parts = gpu_suite.parts(Options(suite="gpu", report="x"))
        speeds = [p.arguments for p in parts if p.kind == "speed"]
        grid = {
            (policy, size, jit)
            for policy in ("float32", "tf32", "mixed_bfloat16")
            for size in (128, 512, 1024)
            for jit in ("on", "off")
        }
        plain = [a for a in speeds if a["penalty"] == "none"]
        self.assertEqual({(a["dtype_policy"], a["micro_batch_size"], a["jit_compile"]) for a in plain}, grid)
        self.assertEqual({a["penalty"] for a in speeds}, set(PENALTIES))
        self.assertTrue(all(a["samples"] % a["micro_batch_size"] == 0 for a in speeds))
        self.assertEqual([p.name for p in parts if p.on_cpu], ["trajectories_cpu"])
        on_cpu = gpu_suite.parts(Options(suite="gpu", report="x", device="cpu"))
        self.assertTrue(all(p.on_cpu for p in on_cpu))


class ResumeTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "gpu"
        self.called, self.failing, self.slow = [], set(), set()
        self.enterContext(mock.patch.object(fresh_process, "call", self.call))
        two = [
            gpu_suite.Part(name=name, kind=name, arguments={"sizes": (1, 2)})
            for name in ("first", "second", "third")
        ]
        self.parts = self.enterContext(mock.patch.object(gpu_suite, "parts", return_value=two))

    def call(self, kind, arguments, *, environment=None, timeout=None):
        if kind == "environment":
            return {k: v for k, v in WHERE.items() if k != "git_revision"} | {"gpus": 0 if environment else 1}
        self.called.append(kind)
        if kind in self.failing:
            raise RunError(f"{kind} failed: no luck")
        if kind in self.slow:
            raise subprocess.TimeoutExpired(kind, timeout)
        return {}

    def run_suite(self, **flags):
        self.called.clear()
        return gpu_suite.run(Options(suite="gpu", report=str(self.folder), **flags), lambda text: None)

    def report(self):
        return (self.folder / "README.md").read_text()

    def test_a_finished_part_is_not_repeated(self):
        self.assertTrue(self.run_suite())
        self.assertEqual(self.called, ["first", "second", "third"])
        document = json.loads((self.folder / "parts" / "second.json").read_text())
        self.assertEqual((document["part"], document["device"], document["result"]), ("second", "A card", {}))
        self.assertTrue(self.run_suite())
        self.assertEqual(self.called, [])
        self.assertTrue(self.run_suite(fresh=True))
        self.assertEqual(self.called, ["first", "second", "third"])

    def test_a_failed_part_is_reported_and_comes_last(self):
        self.failing.add("first")
        self.slow.add("third")
        self.assertFalse(self.run_suite())
        self.assertIn("first failed: no luck", self.report())
        self.assertIn("**Not measured yet, the same command goes on:** third.", self.report())
        self.failing.clear()
        self.slow.clear()
        self.assertTrue(self.run_suite())
        self.assertEqual(self.called, ["third", "first"])
        self.assertNotIn("Not measured yet, the same", self.report())

    def test_other_arguments_are_measured_again(self):
        self.run_suite()
        first, *others = self.parts.return_value
        self.parts.return_value = [dataclasses.replace(first, arguments={"sizes": (1, 3)}), *others]
        self.run_suite()
        self.assertEqual(self.called, ["first"])

    def test_another_card_is_measured_itself(self):
        self.run_suite()
        with mock.patch.dict(MACHINE, device="Another card"):
            self.run_suite()
        self.assertEqual(self.called, ["first", "second", "third"])
        self.assertNotIn("| A card |", self.report())

    def test_nothing_begins_after_the_time(self):
        self.run_suite(minutes=1e-9)
        self.assertEqual(self.called, [])
        self.assertIn("first, second, third", self.report())

    def test_without_a_gpu_the_way_to_try_it_is_named(self):
        hidden = {k: v for k, v in WHERE.items() if k != "git_revision"} | {"gpus": 0}
        with (
            mock.patch.object(fresh_process, "call", return_value=hidden),
            self.assertRaisesRegex(UserError, "finds no GPU here. --device=cpu --scale=small"),
        ):
            self.run_suite()
        self.assertFalse(self.folder.exists())


class ReportTest(unittest.TestCase):
    def render(self, **results):
        common = {"device": "A card", "date": "2026-01-01", "git_revision": "a1", "wall_seconds": 2.0}
        return gpu_report.render(
            WHERE, {name: common | {"result": result} for name, result in results.items()}
        )

    def test_speeds(self):
        text, passed = self.render(
            matrix_products={"size": 8, "tflops_per_second": {"tf32": 20.0}},
            speed_a=speed("tf32", 512, "none", 0.5),
            penalty_b=speed("tf32", 512, "nested_tape", 1.5),
            speed_c=speed("float32", 128, "none", 2.0, jit=False),
        )
        self.assertTrue(passed)
        self.assertIn("same precision: tf32 20 TFLOP/s.", text)
        self.assertIn("| tf32 | 512 | on | none | 25 | 2.00k | 1.00k to 4.00k | 10 | 50% |  | 3 MiB |", text)
        self.assertIn(
            "| tf32 | 512 | on | nested_tape | 75 | 667 | 333 to 1.33k | 3.33 | 17% | 3.00 | 3 MiB |", text
        )
        self.assertIn("| float32 | 128 | off | none | 100 | 500 | 250 to 1.00k | 2.5 |  |  | 3 MiB |", text)

    def test_checks(self):
        def trajectories(policy, penalty, end):
            case = {"dtype_policy": policy, "jit_compile": "on", "penalty": penalty}
            return {"cases": [case | {"losses": [2.0, end], "probes": [10.0, -1.0]}]}

        for policy, penalty, end, outcome in (
            ("float64", "none", 1.0 + 1e-9, "passed"),
            ("float64", "none", 1.0 + 1e-8, "FAILED"),
            ("float64", "forward_differences", 1.0 + 1e-8, "passed"),
            ("float32", "none", 1.0 + 1e-3, "passed"),
            ("float32", "none", float("nan"), "FAILED"),
            ("float32", "none", "nan", "FAILED"),
        ):
            with self.subTest(policy=policy, penalty=penalty, end=end):
                text, passed = self.render(
                    trajectories_cpu=trajectories(policy, penalty, 1.0),
                    trajectories_device=trajectories(policy, penalty, end),
                )
                self.assertRegex(
                    text, rf"\| device against CPU \| {policy}, XLA on, {penalty} \| .* \| {outcome} \|"
                )
                self.assertEqual(passed, outcome == "passed")

    def test_a_case_that_failed(self):
        case = {"dtype_policy": "float64", "jit_compile": "on", "penalty": "none"}
        text, passed = self.render(
            trajectories_cpu={"cases": [case | {"losses": [1.0], "probes": [1.0]}]},
            trajectories_device={"cases": [case | {"error": "LookupError: a | b"}]},
        )
        self.assertFalse(passed)
        self.assertIn("| LookupError: a / b |  | FAILED |", text)

    def test_replicas_and_tests(self):
        one, two = {"losses": [1.0], "probes": [4.0]}, {"losses": [1.0], "probes": [4.0 + 4e-12]}
        found = {"kind": "GPU", "cases": [{"dtype_policy": "float64", "one": one, "two": two}]}
        tests = {
            "exit_code": 1,
            "summary": "== 1 failed ==",
            "failed": ["FAILED a"],
            "folders": ["tests/core"],
        }
        text, passed = self.render(two_logical_devices=found, tests=tests)
        self.assertFalse(passed)
        self.assertIn(
            "| two logical GPUs against one | float64, nested_tape | 1.0e-12 | 1e-09 | passed |", text
        )
        self.assertIn("| tests | tests/core | 1 failed; FAILED a |  | FAILED |", text)

    def test_difference_is_relative_to_the_largest(self):
        first = {"losses": [2.0, 1.0], "probes": [100.0, 1e-9]}
        self.assertEqual(gpu_report.difference(first, first), 0.0)
        self.assertAlmostEqual(gpu_report.difference(first, first | {"probes": [100.0, 1.0]}), 0.01)
        self.assertAlmostEqual(gpu_report.difference(first, first | {"losses": [2.0, 1.5]}), 0.25)


@pytest.mark.slow
class PartTest(unittest.TestCase):
    def test_union_of_intervals(self):
        self.assertEqual(gpu_parts.union_length([]), 0)
        self.assertEqual(gpu_parts.union_length([(5, 6), (0, 3), (1, 2), (2, 4)]), 5)

    def test_idle_share_of_a_trace(self):
        space = xplane_pb2.XSpace()
        plane = space.planes.add(name="/device:GPU:0")
        for name, start_ns, events in (
            ("Stream #1(Kernel)", 0, ((0, 2000), (3000, 1000))),
            ("Stream #2(MemcpyH2D)", 5, ((1000, 4000),)),
            ("Steps", 0, ((0, 10_000),)),
        ):
            line = plane.lines.add(name=name, timestamp_ns=start_ns)
            for offset, duration in events:
                line.events.add(offset_ps=offset, duration_ps=duration)
        space.planes.add(name="/host:CPU").lines.add(name="Stream").events.add(duration_ps=10**9)
        found = gpu_parts.busy(space.SerializeToString())
        # Picoseconds: 0-2000 and 3000-4000 on one stream, 6000-10000 on the other.
        self.assertAlmostEqual(found["span_seconds"], 10_000e-12)
        self.assertAlmostEqual(found["busy_seconds"], 7000e-12)
        self.assertAlmostEqual(found["idle_share"], 0.3)

    def test_a_trace_without_a_gpu(self):
        self.assertIsNone(gpu_parts.busy(xplane_pb2.XSpace().SerializeToString())["idle_share"])

    def test_trajectories(self):
        cases = [("float64", "off", "none"), ("float64", "off", "sideways")]
        good, bad = gpu_parts.trajectories(cases=cases, steps=3)["cases"]
        self.assertEqual((len(good["losses"]), len(good["probes"])), (3, 4))
        self.assertLess(good["losses"][2], good["losses"][0])
        self.assertRegex(bad["error"], "^UserError: .*sideways")


if __name__ == "__main__":
    unittest.main()
