"""Results do not depend on the number of replicas: BatchNorm, penalties, clipping, noise and all, in float64."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def relative_error(found: list[float], expected: list[float]) -> float:
    return float(np.linalg.norm(np.subtract(found, expected)) / np.linalg.norm(expected))


@pytest.mark.slow
class ReplicasTest(unittest.TestCase):
    """One process trains on 1, 2 and 3 replicas."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results.json"
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
            finished = subprocess.run(
                [sys.executable, "-m", "tests.training.replicas", str(path)],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if finished.returncode != 0:
                raise AssertionError(finished.stderr[-4000:])
            cls.results = json.loads(path.read_text())

    def test_weights_statistics_and_momentum_are_those_of_one_replica(self) -> None:
        for case, runs in self.results.items():
            (expected,) = runs["1"]["copies"]
            self.assertTrue(np.isfinite(expected).all())
            for replicas in runs.keys() - {"1"}:
                with self.subTest(case=case, replicas=replicas):
                    self.assertEqual(runs[replicas]["steps"], 3)
                    self.assertLessEqual(relative_error(runs[replicas]["copies"][0], expected), 1e-12)

    def test_every_replica_has_the_same_bits(self) -> None:
        for case, runs in self.results.items():
            for replicas in runs.keys() - {"1"}:
                with self.subTest(case=case, replicas=replicas):
                    first, *others = runs[replicas]["copies"]
                    self.assertEqual(len(others), int(replicas) - 1)
                    for other in others:
                        self.assertEqual(other, first)

    def test_losses_metrics_evaluations_and_predictions_are_equal(self) -> None:
        for case, runs in self.results.items():
            for replicas in runs.keys() - {"1"}:
                for name in ("history", "evaluation", "predictions"):
                    with self.subTest(case=case, replicas=replicas, name=name):
                        np.testing.assert_allclose(
                            runs[replicas][name], runs["1"][name], rtol=1e-11, atol=1e-12
                        )

    def test_the_cross_entropy_is_a_metrics(self) -> None:
        for case in self.results.keys() - {"several"}:
            for run in self.results[case].values():
                _, cross_entropy, metric, loss = run["evaluation"]  # by name, "entropy" a metric of Keras'
                np.testing.assert_allclose(cross_entropy, metric, rtol=1e-12)
                self.assertGreater(abs(loss - cross_entropy), 1e-4)

    def test_the_cases_train(self) -> None:
        # Otherwise equality would mean little.
        for runs in self.results.values():
            full, idle = (self.results[case]["1"]["copies"][0] for case in ("full", "idle"))
            self.assertGreater(relative_error(full, idle), 1e-3)
            self.assertGreater(np.ptp(runs["1"]["predictions"]), 1e-2)


if __name__ == "__main__":
    unittest.main()
