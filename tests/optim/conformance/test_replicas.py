"""Two replicas go the way of one, whatever the method."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import pytest

from tests.optim.conformance.methods import labels, other_labels

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
class ReplicasTest(unittest.TestCase):
    """One process trains by every method."""

    def test_two_are_one_to_rounding(self) -> None:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results.json"
            command = [sys.executable, "-m", "tests.optim.conformance.replicas", str(path)]
            finished = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )
            self.assertEqual(finished.returncode, 0, finished.stderr[-4000:])
            results = json.loads(path.read_text())
        self.assertEqual(set(results), {*labels(), *other_labels()})
        for label, found in results.items():
            with self.subTest(method=label):
                (one,), (first, second) = found["1"], found["2"]
                self.assertEqual(first, second)
                change = np.linalg.norm(np.subtract(one, found["start"]))
                self.assertLessEqual(np.linalg.norm(np.subtract(first, one)), 1e-12 * change)


if __name__ == "__main__":
    unittest.main()
