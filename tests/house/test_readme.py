"""What the documents say is so: their Python runs, their flags, files, links and make targets exist."""

import contextlib
import dataclasses
import io
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.commands import analyze, data, launch_local, models, report
from tf_fullbatch.config.run import settings_fields
from tf_fullbatch.settings.flagfiles import recipes
from tf_fullbatch.studies import options as study_options

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def blocks(document: Path, language: str) -> list[str]:
    """The code blocks of a language in a document."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


class DocumentsTest(unittest.TestCase):
    def test_flags_exist(self):
        names = {setting.name for _, setting in settings_fields()} | {"flagfile", "help", "name", "version"}
        names |= {field.name for field in dataclasses.fields(Options)}  # of the benchmark
        for options in (
            launch_local.Options,
            study_options.Options,
            report.Options,
            analyze.Options,
            data.Options,
            models.Options,
        ):
            names |= {field.name for field in dataclasses.fields(options)}
        names |= set(study_options.OLDER_SPELLINGS)
        foreign = (
            r"pip (install|wheel).*|tensorboard --.*|git .*|.*tf_fullbatch\.benchmark.*|python3 -m venv.*"
        )
        foreign += r"|.*tfds build.*|#SBATCH.*|--signal=TERM"
        found = 0
        for document in DOCUMENTS:
            for line in document.read_text(encoding="utf-8").splitlines():
                for flag in re.findall(r"(?<![\w-])--([a-z][a-z_]+)", re.sub(foreign, "", line)):
                    with self.subTest(document=document.name, flag=flag):
                        self.assertIn(flag.removeprefix("no") if flag not in names else flag, names)
                        found += 1
        self.assertGreater(found, 20)

    def test_links_and_named_files_exist(self):
        found = 0
        for document in DOCUMENTS:
            text = document.read_text(encoding="utf-8")
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if not re.match(r"https?:|mailto:", target):
                    file, _, anchor = target.partition("#")
                    path = (document.parent / file) if file else document
                    with self.subTest(document=document.name, target=target):
                        self.assertTrue(path.exists())
                        if anchor:
                            self.assertIn(anchor, anchors(path))
                        found += 1
            for name in re.findall(r"recipe:([\w/]+)", text):
                with self.subTest(document=document.name, recipe=name):
                    self.assertIn(name, {*recipes(), "NAME"})
                    found += 1
            for file in re.findall(r"flags/[\w/]+\.flags", text):
                with self.subTest(document=document.name, file=file):
                    self.assertTrue((ROOT / file).is_file())
                    found += 1
        self.assertGreater(found, 5)

    def test_make_targets_exist(self):
        targets = set(
            re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        )
        for document in DOCUMENTS:
            for target in re.findall(r"`?make ([a-z][a-z-]+)`", document.read_text(encoding="utf-8")):
                with self.subTest(document=document.name, target=target):
                    self.assertIn(target, targets)

    def test_the_python_in_the_readme_runs(self):
        codes = blocks(ROOT / "README.md", "python")
        shorter = [code.replace("epochs=100", "epochs=3") for code in codes]
        self.assertEqual(2, sum(a != b for a, b in zip(codes, shorter, strict=True)))
        out = io.StringIO()
        namespace: dict[str, Any] = {"__name__": "readme"}
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            keras.utils.set_random_seed(0)
            with contextlib.redirect_stdout(out):
                for code in shorter:  # the second goes on where the first ends
                    exec(compile(code, "README.md", "exec"), namespace)
            # As the text below it says, in a process that has not trained.
            (load,) = re.findall(r"`(keras\.saving\.load_model\(.*?\))`", (ROOT / "README.md").read_text())
            (before,) = re.findall(r"`(from tf_fullbatch import \w+)`", (ROOT / "README.md").read_text())
            program = f"import keras\n{before}\nprint({load}.steps_completed)"
            loaded = subprocess.run(
                [sys.executable, "-c", program],
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
            )
            self.assertEqual("3", loaded.stdout.strip(), loaded.stderr)
        self.assertRegex(out.getvalue(), r"^validation accuracy 0\.\d{3}, last step: \{'step': 3")
        self.assertRegex(out.getvalue(), r"\nloss \d\.\d{3}, largest eigenvalues \[")
        self.check_largest_eigenvalues(namespace["objective"], namespace["largest"])

    def check_largest_eigenvalues(self, objective: Any, largest: np.ndarray) -> None:
        """The eigenvalues that README finds are those of the Hessian written out, column by column."""
        operator = objective.linear_operator()
        hessian = np.stack([operator @ column for column in np.eye(operator.shape[0], dtype=np.float32)])
        np.testing.assert_allclose(np.sort(largest), np.linalg.eigvalsh(hessian)[-3:], rtol=1e-2)


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


if __name__ == "__main__":
    unittest.main()
