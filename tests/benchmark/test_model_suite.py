"""--suite=models: a row for each network, and what it says of one that fails."""

import dataclasses
import unittest
from unittest import mock

import numpy as np

from tf_fullbatch.benchmark import fresh_process, in_process, model_suite, options
from tf_fullbatch.benchmark.comparisons import Workload
from tf_fullbatch.errors import RunError, UserError


class ModelSuiteTest(unittest.TestCase):
    def test_rows(self) -> None:
        def call(kind: str, arguments: dict) -> dict:
            self.assertEqual(("passes", 24), (kind, arguments["image_size"]))
            if arguments["model"] == "vgg11":
                raise RunError("passes in a process of its own failed: no memory")
            of = {"linear": (10, 0.5, 700 << 20), "resnet8": (20, 2.0, 900 << 20)}
            return dict(
                zip(("parameters", "seconds", "host", "device"), (*of[arguments["model"]], None), strict=True)
            )

        given = options.parse(
            ["benchmark", "--suite=models", "--image_size=24", "--rows=linear,resnet8,vgg11"]
        )
        assert given is not None
        with mock.patch.object(fresh_process, "call", call):
            rows = model_suite.measure(given, lambda text: None)
        self.assertEqual(["linear", "resnet8", "vgg11"], [row["model"] for row in rows])
        self.assertEqual([32.0, 8.0], [row["images_per_second"] for row in rows[:2]])
        self.assertEqual([0, 200 << 20], [row["beyond"] for row in rows[:2]])
        self.assertIn("no memory", rows[2]["failed"])
        table = model_suite.table(rows)
        self.assertRegex(table, r"resnet8 +20 +8 +900 MiB +200 MiB")
        self.assertRegex(table, r"vgg11 +")

    def test_steps_of_one(self) -> None:
        work = Workload(model="linear", samples=16, micro_batch_size=16, image_size=8)
        found = in_process.passes(seconds=0.0, **dataclasses.asdict(work))
        self.assertEqual(8 * 8 * 3 * 10 + 10, found["parameters"])
        self.assertGreater(found["seconds"], 0)
        self.assertGreater(found["host"], 2**20)
        self.assertTrue(np.isfinite(found["seconds"]))

    def test_unknown_networks(self) -> None:
        with self.assertRaisesRegex(UserError, "^--rows=resnet9: accepted are resnet18, "):
            options.parse(["benchmark", "--suite=models", "--rows=resnet9"])


if __name__ == "__main__":
    unittest.main()
