"""Devices by name: precision, strategies, places in a cluster; each strategy in a process of its own."""

import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

import keras
import tensorflow as tf

from tf_fullbatch import processor
from tf_fullbatch.config.runtime import RuntimeConfig
from tf_fullbatch.errors import UserError
from tf_fullbatch.run import devices

ROOT = Path(__file__).parents[2]
CLUSTER = {"worker": ["localhost:1", "localhost:2"]}

CPU = rf"{re.escape(processor.name())}, {processor.cores()} cores?"

DESCRIBE = """
import json, sys
from tf_fullbatch.config.runtime import RuntimeConfig
from tf_fullbatch.run.devices import choose_strategy, describe_devices
strategy = choose_strategy(RuntimeConfig(**json.loads(sys.argv[1])))
print(type(strategy).__name__, strategy.num_replicas_in_sync, describe_devices(strategy), sep="|")
"""


def described(**settings: object) -> str:
    """Class, replicas and words of a strategy made in a fresh process; or its error."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"} | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE, json.dumps(settings)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return (done.stdout or done.stderr).strip().splitlines()[-1]


def cluster(task: object, workers: object = CLUSTER) -> mock._patch_dict:
    """TF_CONFIG with a task."""
    return mock.patch.dict(os.environ, TF_CONFIG=json.dumps({"cluster": workers, "task": task}))


class StrategyTest(unittest.TestCase):
    def test_simulated_devices(self):
        self.assertRegex(described(simulate_devices=3), rf"^MirroredStrategy\|3\|{CPU}, 3 replicas$")
        self.assertRegex(
            described(simulate_devices=3, num_replicas=2), rf"^MirroredStrategy\|2\|{CPU}, 2 replicas$"
        )

    def test_too_many_replicas(self):
        said = described(num_replicas=2)
        self.assertIn("UserError: --num_replicas=2: there are 1 devices (CPU)", said)
        self.assertIn("--simulate_devices=2", said)

    def test_one_device(self):
        strategy = devices.choose_strategy(RuntimeConfig())
        self.assertIs(strategy, tf.distribute.get_strategy())
        self.assertRegex(devices.describe_devices(strategy), f"^{CPU}, 1 replica$")
        with self.assertRaisesRegex(UserError, "--num_replicas=2 has no effect with --strategy=one_device"):
            RuntimeConfig(strategy="one_device", num_replicas=2)


class ClusterTest(unittest.TestCase):
    def test_without(self):
        with mock.patch.dict(os.environ):
            os.environ.pop("TF_CONFIG", None)
            self.assertIsNone(devices.multi_worker("auto"))
            self.assertTrue(devices.is_chief("auto"))
            with self.assertRaisesRegex(
                UserError, "--strategy=multi_worker needs .* TF_CONFIG.*launch_local"
            ):
                devices.multi_worker("multi_worker")

    def test_places(self):
        for index in range(2):
            with cluster({"type": "worker", "index": index}):
                for name in ("auto", "multi_worker"):
                    self.assertEqual((index, 2), devices.multi_worker(name))
                    self.assertEqual(index == 0, devices.is_chief(name))
                self.assertIsNone(devices.multi_worker("one_device"))

    def test_what_cannot_be_used(self):
        worker = {"type": "worker", "index": 0}
        for task, workers, said in (
            ({"type": "worker", "index": 2}, CLUSTER, "there is no worker 2 among 2"),
            ({"type": "ps", "index": 0}, CLUSTER, "only tasks of type 'worker'"),
            (worker, CLUSTER | {"chief": ["localhost:3"]}, "only tasks of type 'worker'"),
            ({"index": 0}, CLUSTER, "'type' is missing"),
            ({"type": "worker", "index": "first"}, CLUSTER, "invalid literal"),
            (worker, [1], "TF_CONFIG="),
        ):
            with self.subTest(said=said), cluster(task, workers), self.assertRaisesRegex(UserError, said):
                devices.multi_worker("auto")
        with mock.patch.dict(os.environ, TF_CONFIG="{"), self.assertRaisesRegex(UserError, "TF_CONFIG={: "):
            devices.multi_worker("auto")

    def test_simulated_devices_are_not_for_workers(self):
        with (
            cluster({"type": "worker", "index": 0}),
            self.assertRaisesRegex(UserError, "--simulate_devices=2 and several workers"),
        ):
            devices.choose_strategy(RuntimeConfig(simulate_devices=2))


class PrecisionTest(unittest.TestCase):
    def test_for_a_while(self):
        before = keras.config.dtype_policy().name, keras.config.floatx()
        tf32 = tf.config.experimental.tensor_float_32_execution_enabled
        for name, policy, floatx, tensor_float in (
            ("float32", "float32", "float32", False),
            ("tf32", "float32", "float32", True),
            ("float64", "float64", "float64", False),
            ("mixed_bfloat16", "mixed_bfloat16", "float32", False),
        ):
            with self.subTest(name=name), devices.precision(name):
                self.assertEqual(
                    (policy, floatx, tensor_float),
                    (keras.config.dtype_policy().name, keras.config.floatx(), tf32()),
                )
        self.assertEqual(before, (keras.config.dtype_policy().name, keras.config.floatx()))


if __name__ == "__main__":
    unittest.main()
