"""Statistics of the set do not depend on how many replicas take its micro-batches."""

import json
import subprocess
import sys
import unittest
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
class ReplicasTest(unittest.TestCase):
    def test_two_replicas_answer_as_one(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "tests.analysis.two_replicas"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(0, done.returncode, done.stderr[-3000:])
        found = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(len(found), 8)
        for name, answers in found.items():
            one, two = (np.array(answers[replicas]) for replicas in ("1", "2"))
            with self.subTest(statistic=name):
                self.assertTrue(np.all(np.isfinite(one)))
                self.assertGreater(np.linalg.norm(one), 1e-3)
                np.testing.assert_allclose(two, one, rtol=1e-11, atol=0)


if __name__ == "__main__":
    unittest.main()
