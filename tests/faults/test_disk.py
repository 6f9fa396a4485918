"""Full, read-only and vanishing disks: one line that says so, and nothing earlier harmed."""

import contextlib
import functools
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import contents
from tests.faults.processes import Process, bound_by_permissions, finish, rows, two_at_a_time
from tests.faults.runs import SHORT, FaultTestCase
from tests.faults.tally import faults

pytestmark = pytest.mark.faults

FULL = r"cannot write \S+: No space left on device\. Free space there"
TOO_LARGE = r"cannot write \S+: File too large\. Free space there"
FORBIDDEN = r"cannot write \S+: (Permission denied|Read-only file system)\. "
FIRST = (*SHORT, "--epochs=5", "--schedule_epochs=30")
MANY = (*SHORT, "--keep_checkpoints=100")


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, of a size such as "2m"."""
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True, capture_output=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", folder], check=True)


def fill(disk: Path) -> None:
    """Leaves no free block."""
    with contextlib.suppress(OSError), (disk / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def limit_file_size(size: int) -> None:
    """In a new process: no file gets larger than this many bytes; Python ignores the signal, and writing fails."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def permit(folder: Path, writing: bool) -> None:
    """Sets the permissions of a folder and all folders in it."""
    for path in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
        path.chmod(0o755 if writing else 0o555)


class FullDiskTest(FaultTestCase):
    def setUp(self) -> None:
        super().setUp()
        try:
            self.disk = self.enterContext(small_disk(self.folder / "disk", "3m"))
        except (OSError, subprocess.CalledProcessError):
            self.skipTest("needs the right to mount a small disk")
        self.run_folder = self.disk / "run"

    def go_on_with_space(self) -> None:
        (self.disk / "filler").unlink(missing_ok=True)
        remount(self.disk, "size=100m")
        self.assert_done(finish(self.run_folder, *MANY))
        self.assert_same_run(self.undisturbed(*SHORT), self.run_folder)

    def test_checkpoints_fill_it(self):
        with faults("full disk"):
            self.assert_ended(finish(self.run_folder, *MANY), 2, FULL)
            self.assertGreater(rows(self.run_folder), 2)
            self.go_on_with_space()

    def test_something_else_fills_it(self):
        for row in (1, 20):
            with faults("full disk"), Process(self.run_folder, *MANY) as process:
                process.reach(rows(self.run_folder) + row)
                fill(self.disk)
                self.assert_ended(process.end(), 2, FULL)
                (self.disk / "filler").unlink()
        self.go_on_with_space()

    def test_full_from_the_start(self):
        fill(self.disk)
        with faults("full disk"):
            self.assert_ended(finish(self.run_folder, *MANY), 2, FULL)
        self.go_on_with_space()

    def test_full_before_it_goes_on(self):
        first = self.undisturbed(*FIRST)
        shutil.copytree(first, self.run_folder)
        fill(self.disk)
        with faults("full disk"):
            self.assert_ended(finish(self.run_folder, *MANY), 2, FULL)
        self.go_on_with_space()

    def test_read_only(self):
        first = self.undisturbed(*FIRST)
        shutil.copytree(first, self.run_folder)
        before = contents(self.disk)
        remount(self.disk, "ro")
        with faults("read-only disk"):
            for folder in (self.run_folder, self.disk / "new"):
                self.assert_ended(finish(folder, *SHORT), 2, FORBIDDEN)
                self.assertEqual(before, contents(self.disk))
        remount(self.disk, "rw")
        self.go_on_with_space()


class FileSizeTest(FaultTestCase):
    """A limit of a file's size stands for the full disk where no disk can be mounted."""

    def test_a_file_grows_beyond_the_limit(self):
        for size in (1_000, 8_000, 40_000):
            folder = self.folder / str(size)
            with self.subTest(size), faults("file size limit"):
                ended = finish(folder, *SHORT, before=functools.partial(limit_file_size, size))
                self.assert_ended(ended, 2, TOO_LARGE)
                self.assert_done(finish(folder, *SHORT))
                self.assert_same_run(self.undisturbed(*SHORT), folder)


class PermissionTest(FaultTestCase):
    def test_read_only_folder(self):
        folder = self.copy(self.undisturbed(*FIRST), "run")
        before = contents(folder)
        permit(folder, writing=False)
        with faults("read-only folder"):
            self.assert_ended(finish(folder, *SHORT, before=bound_by_permissions), 2, FORBIDDEN)
        self.assertEqual(before, contents(folder))
        permit(folder, writing=True)
        self.assert_done(finish(folder, *SHORT))
        self.assert_same_run(self.undisturbed(*SHORT), folder)

    def test_read_only_under_the_run(self):
        folder = self.folder / "run"
        with faults("read-only folder"), Process(folder, *SHORT, before=bound_by_permissions) as process:
            process.reach(5)
            permit(folder, writing=False)
            self.assert_ended(process.end(), 2, FORBIDDEN)
        permit(folder, writing=True)
        self.assert_done(finish(folder, *SHORT))
        self.assert_same_run(self.undisturbed(*SHORT), folder)


class VanishedTest(FaultTestCase):
    def test_the_folder_is_deleted_under_the_run(self):
        def vanish(arguments: tuple[str, ...]) -> None:
            folder = self.folder / str(len(arguments))
            with faults("folder deleted under a run"), Process(folder, *arguments) as process:
                process.reach(10)
                gone = self.folder / f"gone-{len(arguments)}"
                folder.rename(gone)  # at once, where removing races with the run's own writing
                shutil.rmtree(gone)
                ended = process.end()
            self.assert_ended(ended, 2, r"cannot write \S+: No such file or directory\.")

        for _ in two_at_a_time(vanish, (SHORT, (*SHORT, "--checkpoint_every=10m"))):
            pass
