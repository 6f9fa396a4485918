"""Mixed samples and augmented copies: the same sums, steps and weights on two replicas and two workers as on one."""

import functools
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.distributed.mixed_samples import CASES, IMAGES, LABELS, made, trained
from tf_fullbatch.run.devices import precision
from tf_fullbatch.run.local_cluster import cluster_configs, free_ports

ROOT = Path(__file__).parents[2]
STEPS = {"MixUp": 3, "CutMix": 1, "copies": 5, "copies in turn": 1}
"""Of a pass."""


@functools.cache
def of_one_replica(name: str) -> dict[str, Any]:
    """The training of a case in this process."""
    with precision("float64"):
        return trained(CASES[name], tf.distribute.get_strategy(), streams=False)


def of_two(*tf_configs: str | None) -> dict[str, Any]:
    """The trainings of all cases, in one process for each TF_CONFIG; None for logical CPUs."""
    with tempfile.TemporaryDirectory() as folder:
        path, processes = Path(folder) / "found.json", []
        for tf_config in tf_configs:
            environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
            environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
            if tf_config is not None:
                environment["TF_CONFIG"] = tf_config
            command = [sys.executable, "-m", "tests.distributed.mixed_samples", str(path)]
            processes.append(
                subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
            )
        for process in processes:
            _, said = process.communicate(timeout=1200)
            if process.returncode != 0:
                raise AssertionError(said[-3000:])
        return json.loads(path.read_text())


class MixedSamplesTest(unittest.TestCase):
    def assert_as_one_replica(self, found: dict[str, Any], copies: int) -> None:
        self.assertEqual(found.keys(), CASES.keys())
        for name, two in found.items():
            one = of_one_replica(name)
            with self.subTest(name):
                self.assertLessEqual(difference(two["gradient"], one["gradient"], np.zeros(1)), 1e-13)
                np.testing.assert_allclose(two["steps"], one["steps"], rtol=1e-12)
                self.assertEqual(len(two["copies"]), copies)
                for copy in two["copies"]:
                    self.assertEqual(copy, two["copies"][0])
                weights = [run["copies"][0][: len(one["start"])] for run in (two, one)]
                self.assertLessEqual(difference(*weights, one["start"]), 1e-12)
                self.assert_resumes(name, two)

    def assert_resumes(self, name: str, found: dict[str, Any]) -> None:
        """What goes on from the state in between has the very bits of what was never interrupted."""
        if CASES[name].stop is not None:
            self.assertEqual(found["resumed"]["steps"], found["steps"][CASES[name].stop :])
            self.assertEqual(found["resumed"]["copies"], found["copies"])

    def test_one_replica(self) -> None:
        """It goes on within a pass with the same bits; and its samples are others than the plain ones, without which
        little would be compared."""
        with precision("float64"):
            objective = made({}, tf.distribute.get_strategy())[0].objective(IMAGES, LABELS)
            plain = np.concatenate([np.ravel(g) for g in objective.value_and_gradient().gradient])
        for name, case in CASES.items():
            one, per_pass = of_one_replica(name), STEPS[name]
            loss = [step[0] for step in one["steps"]]
            with self.subTest(name):
                self.assertEqual(len(loss), case.epochs * per_pass)
                if case.stop is None:
                    self.assertEqual(per_pass, 1)
                    self.assertGreater(difference(one["gradient"], plain, np.zeros(1)), 0.01)
                else:
                    self.assertGreater(case.stop % per_pass, 0)
                    self.assert_resumes(name, one)
                self.assertLess(np.mean(loss[len(loss) // 2 :]), np.mean(loss[: len(loss) // 2]))
        self.assertEqual([step[3] for step in of_one_replica("copies")["steps"]], [15, 15, 15, 15, 6] * 2)

    def test_two_logical_cpus(self) -> None:
        self.assert_as_one_replica(of_two(None), copies=2)

    @pytest.mark.slow
    def test_two_workers(self) -> None:
        self.assert_as_one_replica(of_two(*cluster_configs(free_ports(2))), copies=1)


def difference(found: Any, expected: Any, start: Any) -> float:
    """Norm of the difference of two vectors over that of the way to the expected one."""
    way = np.linalg.norm(np.subtract(expected, start))
    return float(np.linalg.norm(np.subtract(found, expected)) / way)


if __name__ == "__main__":
    unittest.main()
