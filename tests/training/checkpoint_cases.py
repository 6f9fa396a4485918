"""What the tests of checkpoints share: checkpoints that tell their step, and ways to damage a file."""

import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tf_fullbatch.errors import UserError
from tf_fullbatch.records.checkpoints import load_checkpoint, save_checkpoint


def arrays_of(step: int) -> dict[str, np.ndarray]:
    """Arrays that tell one step from another."""
    return {"network/000/conv/kernel": np.full((3, 2), step, np.float32), "step": np.array(step, np.int64)}


def save(folder: Path, *steps: int) -> list[Path]:
    """Saves checkpoints whose arrays and metadata follow from their steps."""
    return [
        save_checkpoint(folder, step=step, epoch=step / 2, arrays=arrays_of(step), metadata={"best": step})
        for step in steps
    ]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class CheckpointsTestCase(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "run" / "checkpoints"
        self.folder.parent.mkdir()

    def assert_holds(self, path: Path, step: int) -> None:
        checkpoint = load_checkpoint(path)
        self.assertEqual((checkpoint.step, checkpoint.epoch, checkpoint.path), (step, step / 2, path))
        self.assertEqual(checkpoint.metadata["best"], step)
        np.testing.assert_equal(checkpoint.arrays, arrays_of(step))

    def assert_user_error(self, action: Callable[[], object], *parts: str) -> None:
        with self.assertRaises(UserError) as caught:
            action()
        message = str(caught.exception)
        self.assertNotIn("\n", message)
        for part in parts:
            self.assertIn(part, message)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def truncate(file: Path) -> None:
    """Cuts a file in half."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def zero(file: Path) -> None:
    """Overwrites a file with zeros."""
    file.write_bytes(bytes(file.stat().st_size))


def flip_a_bit(file: Path) -> None:
    """Changes one bit of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def empty(file: Path) -> None:
    """Leaves nothing of a file."""
    file.write_bytes(b"")
