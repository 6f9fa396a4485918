"""Folders of checkpoints: order, replacement, failing disks, killed processes, pruning."""

import dataclasses
import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import unittest
from unittest import mock

import numpy as np

from tests.training.checkpoint_cases import CheckpointsTestCase, contents, flip_a_bit, save, zero
from tf_fullbatch.records.checkpoints import (
    list_checkpoints,
    load_checkpoint,
    load_latest,
    prune,
    save_checkpoint,
)


class ListTest(CheckpointsTestCase):
    def test_newest_first_by_number(self):
        save(self.folder, 9, 100_000_000, 10)
        (self.folder / "step-00000011").touch()
        (self.folder / "step-12").mkdir()
        (self.folder / ".step-00000013.aside").mkdir()
        self.assertEqual(
            [p.name for p in list_checkpoints(self.folder)],
            ["step-100000000", "step-00000010", "step-00000009"],
        )

    def test_a_missing_folder_has_none(self):
        self.assertEqual(list_checkpoints(self.folder), [])
        self.assertEqual(load_latest(self.folder), (None, []))
        self.assertFalse(self.folder.exists())

    def test_a_file_in_place_of_the_folder_is_named(self):
        self.folder.touch()
        self.assert_user_error(lambda: load_latest(self.folder), str(self.folder), "Not a directory")
        self.assert_user_error(lambda: save(self.folder, 1), str(self.folder))

    def test_a_run_folder_that_is_gone_is_not_made_again(self):
        self.folder.parent.rmdir()
        self.assert_user_error(lambda: save(self.folder, 1), str(self.folder), "No such file or directory")
        self.assertFalse(self.folder.parent.exists())


class FailingWriteTest(CheckpointsTestCase):
    def assert_only_the_first_is_there(self, before: dict[str, bytes]) -> None:
        self.assertEqual(contents(self.folder), before)
        self.assertEqual(self.names(), ["step-00000001"])

    def test_exceptions_at_every_point_leave_earlier_ones(self):
        save(self.folder, 1)
        before = contents(self.folder)
        for target in ("numpy.savez", "os.fsync", "hashlib.file_digest", "pathlib.Path.rename"):
            for error in (KeyboardInterrupt(), MemoryError()):
                with self.subTest(target=target, error=error):
                    with mock.patch(target, side_effect=error), self.assertRaises(type(error)):
                        save(self.folder, 2)
                    self.assert_only_the_first_is_there(before)

    def test_a_failing_disk_is_one_line(self):
        save(self.folder, 1)
        before = contents(self.folder)
        for target in ("numpy.savez", "os.fsync", "pathlib.Path.rename"):
            for number in (errno.ENOSPC, errno.EROFS, errno.EIO):
                with self.subTest(target=target, error=os.strerror(number)):
                    with mock.patch(target, side_effect=OSError(number, os.strerror(number))):
                        self.assert_user_error(
                            lambda: save(self.folder, 2), "step-00000002", os.strerror(number), "--output_dir"
                        )
                    self.assert_only_the_first_is_there(before)

    def test_a_file_that_outgrows_its_limit_is_one_line(self):
        # The kernel itself cuts the write short, as it does on a full disk.
        save(self.folder, 1)
        before = contents(self.folder)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        for size in (100, 1500, 70_000):
            with self.subTest(size=size):
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
                try:
                    self.assert_user_error(
                        lambda: save_checkpoint(
                            self.folder, step=2, epoch=1, arrays={"a": np.ones(20_000)}, metadata={}
                        ),
                        "step-00000002", "File too large",
                    )  # fmt: skip
                finally:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                self.assert_only_the_first_is_there(before)

    def test_metadata_that_is_not_json_leaves_nothing(self):
        with self.assertRaises(TypeError):
            save_checkpoint(self.folder, step=2, epoch=1, arrays={}, metadata={"set": {1}})
        self.assertEqual(self.names(), [])


class KilledTest(CheckpointsTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        command = [sys.executable, "-m", "tests.training.killed_processes"]
        cls.killed = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.killed.communicate)

    def kill_at(self, call: int, action: str) -> bool:
        """Runs an action in a process that dies at a call; whether it got there."""
        print(json.dumps([str(self.folder), action, call]), file=self.killed.stdin, flush=True)
        code = self.killed.stdout.readline().strip()
        self.assertIn(code, ("0", "9"))
        return code == "9"

    def test_killed_while_saving_a_new_step(self):
        call, died = 0, True
        while died:
            shutil.rmtree(self.folder, ignore_errors=True)
            save(self.folder, 1)
            died = self.kill_at(call, "2")
            for path in list_checkpoints(self.folder):
                self.assert_holds(path, int(path.name.removeprefix("step-")))
            self.assertEqual(load_latest(self.folder)[1], [])
            save(self.folder, 3)
            self.assertFalse([name for name in self.names() if name.startswith(".")])
            call += 1
        self.assertGreater(call, 6)
        self.assertEqual(self.names(), ["step-00000001", "step-00000002", "step-00000003"])

    def test_killed_while_replacing_the_only_checkpoint(self):
        call, died = 0, True
        while died:
            shutil.rmtree(self.folder, ignore_errors=True)
            save(self.folder, 2)
            died = self.kill_at(call, "2")
            checkpoint, lines = load_latest(self.folder)
            self.assertIsNotNone(checkpoint, f"lost at call {call}")
            self.assertEqual(lines, [])
            self.assert_holds(checkpoint.path, 2)
            again = checkpoint.metadata
            save(self.folder, 3)
            self.assertEqual(self.names(), ["step-00000002", "step-00000003"])
            self.assertEqual(load_checkpoint(self.folder / "step-00000002").metadata, again)
            call += 1
        self.assertIn("again", again)

    def test_killed_while_pruning(self):
        call, died = 0, True
        while died:
            shutil.rmtree(self.folder, ignore_errors=True)
            save(self.folder, 1, 2)
            died = self.kill_at(call, "prune")
            for path in list_checkpoints(self.folder):
                self.assert_holds(path, int(path.name.removeprefix("step-")))
            self.assertEqual(load_latest(self.folder)[0].step, 2)
            call += 1
        self.assertGreater(call, 3)
        self.assertEqual(self.names(), ["step-00000002"])


class PruneTest(CheckpointsTestCase):
    def test_keeps_the_newest_and_the_protected(self):
        save(self.folder, 1, 2, 3, 4, 5)
        prune(self.folder, keep=2, protect={2, 77})
        self.assertEqual(self.names(), ["step-00000002", "step-00000004", "step-00000005"])
        self.assert_holds(self.folder / "step-00000002", 2)

    def test_damaged_ones_do_not_count(self):
        _, _, damaged = save(self.folder, 1, 2, 3)
        flip_a_bit(damaged / "arrays.npz")
        prune(self.folder, keep=1)
        self.assertEqual(self.names(), ["step-00000002", "step-00000003"])
        self.assert_holds(self.folder / "step-00000002", 2)

    def test_where_all_are_damaged_nothing_is_removed(self):
        for path in save(self.folder, 1, 2, 3):
            zero(path / "manifest.json")
        prune(self.folder, keep=1)
        self.assertEqual(len(self.names()), 3)

    def test_other_files_and_missing_folders_stay_as_they_are(self):
        prune(self.folder, keep=1)
        self.assertFalse(self.folder.exists())
        save(self.folder, 1, 2)
        (self.folder / "notes").mkdir()
        prune(self.folder, keep=1)
        self.assertEqual(self.names(), ["notes", "step-00000002"])

    def test_keeping_none_is_refused(self):
        save(self.folder, 1)
        with self.assertRaisesRegex(ValueError, "keep is 0"):
            prune(self.folder, keep=0)
        self.assertEqual(self.names(), ["step-00000001"])

    def test_a_failing_removal_is_one_line(self):
        save(self.folder, 1, 2)
        error = OSError(errno.EROFS, os.strerror(errno.EROFS))
        with mock.patch("pathlib.Path.rename", side_effect=error):
            self.assert_user_error(lambda: prune(self.folder, keep=1), "step-00000001", "Read-only")


class CheckpointTest(CheckpointsTestCase):
    def test_is_frozen(self):
        checkpoint = load_checkpoint(save(self.folder, 1)[0])
        with self.assertRaises(dataclasses.FrozenInstanceError):
            checkpoint.step = 2


if __name__ == "__main__":
    unittest.main()
