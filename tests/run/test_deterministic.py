"""`--deterministic`: the same bits in another process, with chunks of another size."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pytest

from tests.command import TINY, evaluations_of, steps_of
from tf_fullbatch.records.checkpoints import list_checkpoints, load_checkpoint

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--deterministic", "--epochs=3", "--penalty=forward_differences", "--penalty_strength=0.5", "--clip_norm=0.5",
    "--augmentation=crop", "--additive_noise=1e-3", "--quiet",
)  # fmt: skip


@pytest.mark.slow
class DeterministicTest(unittest.TestCase):
    def test_bits_are_the_same_in_another_process_with_other_chunks(self):
        with tempfile.TemporaryDirectory() as name:
            folders = [Path(name) / place for place in ("one", "chunks")]
            processes = [
                subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "tf_fullbatch.main",
                        *TINY,
                        *FLAGS,
                        f"--output_dir={folder}",
                        *more,
                    ],
                    cwd=ROOT,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                for folder, more in zip(folders, ([], ["--chunk_micro_batches=1"]), strict=True)
            ]
            for process in processes:
                _, said = process.communicate()
                self.assertEqual(0, process.returncode, said)
            saved = [
                load_checkpoint(list_checkpoints(folder / "checkpoints")[0]).arrays for folder in folders
            ]
            self.assertEqual(*map(steps_of, folders))
            self.assertEqual(*map(evaluations_of, folders))
            one, other = saved
            self.assertEqual(one.keys(), other.keys())
            for variable, array in one.items():
                self.assertEqual(array.tobytes(), other[variable].tobytes(), variable)


if __name__ == "__main__":
    unittest.main()
