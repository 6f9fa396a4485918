"""The same result on 1, 2, 3 and 4 replicas and on 2 workers: one fresh process a placement, every case in each."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import pytest

from tests.distributed.cases import CASES, bound
from tf_fullbatch.run.local_cluster import cluster_configs, free_ports

ROOT = Path(__file__).parents[2]
PLACEMENTS = {"2 replicas": 2, "3 replicas": 3, "4 replicas": 4}
WORKERS = "2 workers"


def start(folder: Path, *flags: str, tf_config: str | None = None) -> subprocess.Popen:
    """A process that trains every case."""
    folder.mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"} | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if tf_config is not None:
        environment["TF_CONFIG"] = tf_config
    arguments = [sys.executable, "-m", "tests.distributed.placement", str(folder), *flags]
    return subprocess.Popen(arguments, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def finish(*processes: subprocess.Popen) -> None:
    """Waits for processes, and fails with what they said where one failed."""
    for process in processes:
        _, said = process.communicate(timeout=1200)
        assert process.returncode == 0, said[-3000:]


def load(folder: Path, number: int) -> dict[str, np.ndarray]:
    """The arrays of a case."""
    with np.load(folder / f"{number}.npz") as arrays:
        return dict(arrays)


def difference(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
    """Norm of the difference of all weights over the norm of all weights."""
    a, b = (
        np.concatenate([np.ravel(array) for name, array in arrays.items() if name.startswith("network/")])
        for arrays in (ours, theirs)
    )
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def figures_difference(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
    """Largest relative difference among the figures of the last step and of the evaluation."""
    a, b = (np.concatenate([arrays["last step"], arrays["evaluation"]]) for arrays in (ours, theirs))
    return float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-3)))


@pytest.mark.slow
class PlacementsTest(unittest.TestCase):
    def test_results_do_not_depend_on_the_placement(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            finish(start(folder / "1 replica"))
            for placement, count in PLACEMENTS.items():
                finish(start(folder / placement, f"--simulate_devices={count}"))
            # Both into one folder: worker 0 alone may write.
            finish(*(start(folder / WORKERS, tf_config=text) for text in cluster_configs(free_ports(2))))
            print(f"\n{'case':<44}" + "".join(f"{placement:>12}" for placement in (*PLACEMENTS, WORKERS)))
            for number, case in enumerate(CASES):
                reference = load(folder / "1 replica", number)
                found = {p: difference(load(folder / p, number), reference) for p in (*PLACEMENTS, WORKERS)}
                print(f"{case:<44}" + "".join(f"{value:>12.1e}" for value in found.values()))
                for placement, value in found.items():
                    with self.subTest(case=case, placement=placement):
                        self.assertLessEqual(value, bound(case))
                        # A gradient's norm is a small difference of large sums.
                        figures = figures_difference(load(folder / placement, number), reference)
                        self.assertLessEqual(figures, 1000 * bound(case))


if __name__ == "__main__":
    unittest.main()
