"""The wheel: what is in it, and that it trains by a shipped recipe from an empty folder. Needs the package registry."""

import os
import subprocess
import sys
import sysconfig
import tempfile
import unittest
import zipfile
from pathlib import Path

import pytest

import tf_fullbatch
from tests.rows import read_rows
from tf_fullbatch.records.columns import STEP_COLUMNS

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: object, cwd: Path) -> str:
    """What a command prints; its failure fails the test."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=CLEAN, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


@pytest.mark.slow
class WheelTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        run(
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--wheel-dir=.",
            ROOT,
            cwd=cls.folder,
        )
        (cls.wheel,) = cls.folder.glob("*.whl")
        run(sys.executable, "-m", "venv", "--without-pip", cls.folder / "venv", cwd=cls.folder)
        cls.python = cls.folder / "venv" / "bin" / "python"
        run(
            sys.executable, "-m", "pip", "--python", cls.python, "install", "--quiet", "--no-deps", cls.wheel,
            cwd=cls.folder,
        )  # fmt: skip
        # The dependencies are this environment's; a path in a .pth file is added last, and no .pth file there is read.
        (site_packages,) = (cls.folder / "venv").glob("lib/python*/site-packages")
        (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        cls.package = site_packages / "tf_fullbatch"

    def setUp(self) -> None:
        self.empty = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_holds_what_a_checkout_has(self) -> None:
        with zipfile.ZipFile(self.wheel) as archive:
            names = set(archive.namelist())
        info = f"tf_fullbatch-{tf_fullbatch.__version__}.dist-info"
        tracked = run("git", "ls-files", "tf_fullbatch", "flags", cwd=ROOT).splitlines()
        expected = {
            f"tf_fullbatch/recipes/{name.removeprefix('flags/')}" if name.startswith("flags/") else name
            for name in tracked
        }
        expected |= {
            f"{info}/{name}"
            for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
        }
        self.assertIn("tf_fullbatch/py.typed", expected)
        self.assertEqual(expected, names)

    def test_trains_by_a_recipe(self) -> None:
        program = "import tf_fullbatch; print(tf_fullbatch.__file__)"
        self.assertEqual(f"{self.package / '__init__.py'}\n", run(self.python, "-c", program, cwd=self.empty))
        command = (self.python, "-m", "tf_fullbatch.main")
        run(*command, "--flagfile=recipe:quickstart", "--epochs=2", cwd=self.empty)
        folder = self.empty / "runs" / "quickstart"
        repeat = (f"--flagfile={folder / 'run.flags'}", "--output_dir=again")
        run(self.python.parent / "tf-fullbatch", *repeat, cwd=self.empty)
        first, second = (
            [row["loss"] for row in read_rows(run_folder / "metrics.csv", STEP_COLUMNS)]
            for run_folder in (folder, self.empty / "again")
        )
        self.assertEqual(2, len(first))
        for a, b in zip(first, second, strict=True):
            self.assertAlmostEqual(a, b, delta=1e-4 * a)
        self.assertEqual(["again", "runs"], sorted(path.name for path in self.empty.iterdir()))

    def test_a_study_by_a_recipe(self) -> None:
        plan = run(
            self.python, "-m", "tf_fullbatch.study", "--flagfile=recipe:studies/digits_ladder", "--dry_run",
            cwd=self.empty,
        )  # fmt: skip
        self.assertIn("7 arms, seeds 0, 1, 2: 21 runs", plan)
        self.assertEqual([], list(self.empty.iterdir()))


if __name__ == "__main__":
    unittest.main()
