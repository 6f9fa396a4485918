"""Damaged checkpoints: a run goes on from the one before, or is refused and changes nothing."""

import shutil
from pathlib import Path

import pytest

from tests.command import contents
from tests.faults.processes import finish, two_at_a_time
from tests.faults.runs import SHORT, FaultTestCase
from tests.faults.tally import faults
from tf_fullbatch.records.checkpoint_files import ARRAYS, MANIFEST, SUMS
from tf_fullbatch.records.checkpoints import list_checkpoints

pytestmark = pytest.mark.faults

FIRST = (*SHORT, "--evaluate_every=1", "--epochs=2", "--schedule_epochs=3")
WHOLE = (*SHORT, "--evaluate_every=1", "--epochs=3", "--schedule_epochs=3")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = (truncate, zero, flip_a_bit, Path.unlink)
FILES = (ARRAYS, MANIFEST, SUMS)


class DamagedCheckpointTest(FaultTestCase):
    def test_the_one_before_is_gone_on_from(self):
        """Every kind of damage to every file; the run then ends as it would have."""
        whole, first = self.undisturbed(*WHOLE), self.undisturbed(*FIRST)

        def damaged(case: tuple[int, str]) -> Path:
            kind, name = case
            folder = self.copy(first, f"{kind}-{name}")
            newest, before = list_checkpoints(folder / "checkpoints")[:2]
            DAMAGES[kind](newest / name)
            with faults("damaged checkpoint, one before it"):
                ended = finish(folder, *WHOLE)
                self.assertEqual(0, ended.code, ended.err)
                self.assertRegex(ended.err, rf"\Awarning: checkpoint \S*{newest.name} cannot be used: .*\n\Z")
                self.assertNotIn(before.name, ended.err)
            return folder

        cases = [(kind, name) for kind in range(len(DAMAGES)) for name in FILES]
        for folder in two_at_a_time(damaged, cases):
            with self.subTest(folder=folder.name):
                self.assert_same_run(whole, folder)

    def test_half_deleted(self):
        whole, folder = self.undisturbed(*WHOLE), self.copy(self.undisturbed(*FIRST), "run")
        newest = list_checkpoints(folder / "checkpoints")[0]
        (newest / ARRAYS).unlink()
        (newest / SUMS).unlink()
        with faults("damaged checkpoint, one before it"):
            self.assertEqual(0, finish(folder, *WHOLE).code)
            self.assert_same_run(whole, folder)

    def test_none_left(self):
        first = self.undisturbed(*FIRST)
        for damage in (truncate, zero, Path.unlink):
            folder = self.copy(first, damage.__name__)
            for checkpoint in list_checkpoints(folder / "checkpoints"):
                damage(checkpoint / ARRAYS)
            before = contents(folder)
            with self.subTest(damage=damage.__name__), faults("all checkpoints damaged"):
                self.assert_ended(finish(folder, *WHOLE), 2, r"none of the \d+ checkpoints .* can be used")
                self.assertEqual(before, contents(folder))

    def test_all_deleted(self):
        folder = self.copy(self.undisturbed(*FIRST), "run")
        shutil.rmtree(folder / "checkpoints")
        before = contents(folder)
        with faults("all checkpoints deleted"):
            self.assert_ended(finish(folder, *WHOLE), 2, "none of its checkpoints")
            self.assertEqual(before, contents(folder))
