"""`--deterministic`: the same bits from process to process, and for any chunk size."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from tests.command import TINY, evaluations_of, steps_of
from tf_fullbatch.records.checkpoints import list_checkpoints, load_checkpoint

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--deterministic", "--epochs=3", "--penalty=forward_differences", "--penalty_strength=0.5", "--clip_norm=0.5",
    "--augmentation=crop", "--additive_noise=1e-3", "--quiet",
)  # fmt: skip


class DeterministicTest(unittest.TestCase):
    def test_bits_are_the_same_in_another_process_and_with_other_chunks(self):
        with tempfile.TemporaryDirectory() as name:
            folders = [Path(name) / place for place in ("one", "again", "chunks")]
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
                for folder, more in zip(folders, ([], [], ["--chunk_micro_batches=1"]), strict=True)
            ]
            for process in processes:
                _, said = process.communicate()
                self.assertEqual(0, process.returncode, said)
            saved = [
                load_checkpoint(list_checkpoints(folder / "checkpoints")[0]).arrays for folder in folders
            ]
            for folder, arrays in zip(folders[1:], saved[1:], strict=True):
                self.assertEqual(steps_of(folders[0]), steps_of(folder))
                self.assertEqual(evaluations_of(folders[0]), evaluations_of(folder))
                for variable, array in saved[0].items():
                    self.assertEqual(array.tobytes(), arrays[variable].tobytes(), (folder.name, variable))


if __name__ == "__main__":
    unittest.main()
