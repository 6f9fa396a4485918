"""How the house stands, beside the order of imports that import-linter keeps (pyproject.toml)."""

import ast
import os
import subprocess
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path

from tf_fullbatch.benchmark.startup import COMMANDS

PACKAGE = Path(__file__).parents[2] / "tf_fullbatch"

# Importing these, and every file below them, imports neither TensorFlow nor Keras, which take seconds.
WITHOUT_TENSORFLOW = (
    "errors",
    "settings",
    "config",  # with it the settings of every component
    "data.splits",
    "data.input_statistics",
    "data.controls",
    "data.draws",
    "data.classes",
    "data.sources.dataset",
    "scaling",  # with NumPy and SciPy, but what describes a cluster
    "records",
    "display",
    "report",
    "studies",
    "processor",
    "run.processes",
    "run.output_dir",
    "commands",
    "benchmark.options",
    "benchmark.fresh_process",
    "benchmark.gpu_suite",
    "inspection.base",
    "inspection.options",
    "inspection.plan",
    "inspection.result_folder",
    "main",
    "study",
    "analyze",
    "launch_local",
)
ABSL_FLAGS = ("settings.flag_parsing",)


def modules() -> dict[str, ast.Module]:
    """Name below the package -> syntax tree, of every file but the packages' own `__init__`."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "__init__.py"
    }


def imported(tree: ast.Module) -> Iterator[str]:
    """Everything that is imported anywhere in a file: `package.module` and, as either may be meant, `.name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError(f"line {node.lineno}: a relative import")
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_below(name: str) -> bool:
    """Whether a module is one of WITHOUT_TENSORFLOW, or in a folder of them."""
    return any(name == light or name.startswith(f"{light}.") for light in WITHOUT_TENSORFLOW)


def loaded_after(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh Python; its last line of output lists which of the slow packages were imported."""
    code += "\nimport sys\nprint(sorted({'tensorflow', 'keras', 'tensorflow_datasets'} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


class FilesTest(unittest.TestCase):
    def test_packages_import_nothing(self):
        for path in PACKAGE.rglob("*/__init__.py"):
            with self.subTest(path=path):
                tree = ast.parse(path.read_text(encoding="utf-8"))
                self.assertEqual([], list(imported(tree)))
                self.assertTrue(ast.get_docstring(tree))

    def test_absl_flags_are_used_at_the_command_line_alone(self):
        for name, tree in modules().items():
            names = {n for n in imported(tree) if n.split(".")[0] == "absl" and n != "absl"}
            with self.subTest(file=name):
                self.assertLessEqual(
                    names, {"absl.flags"} if name in ABSL_FLAGS else {"absl.logging"}, "see ABSL_FLAGS"
                )

    def test_every_file_says_what_it_is(self):
        for name, tree in modules().items():
            with self.subTest(file=name):
                self.assertTrue(ast.get_docstring(tree))


HELP_IMPORTS = {"tf_fullbatch", "absl", "filelock", "tqdm"}
"""All that a command may import to show its --help: 0.1 s. NumPy alone would be as much again."""


class FastImportsTest(unittest.TestCase):
    def test_the_package_itself_and_what_needs_no_tensorflow(self):
        names = ["tf_fullbatch", *(f"tf_fullbatch.{name}" for name in modules() if _is_below(name))]
        code = f"import importlib, sys\nfor name in {names}:\n    importlib.import_module(name)\n"
        code += "    assert not {'tensorflow', 'keras'} & set(sys.modules), name"
        done = loaded_after(code)
        self.assertEqual(("[]\n", ""), (done.stdout, done.stderr))

    def test_help_and_errors_of_flags(self):
        commands = [
            ["--help"],
            ["--epohcs=3"],
            ["--epochs=x"],
            ["--penalty=nested_tape"],
            ["--flagfile=absent"],
        ]
        code = f"from tf_fullbatch.main import main\nprint([main(['main', *a]) for a in {commands}])"
        done = loaded_after(code)
        self.assertEqual(["[0, 2, 2, 2, 2]", "[]"], done.stdout.splitlines()[-2:])
        self.assertEqual(4, done.stderr.count("error: "), done.stderr)
        self.assertEqual(4, len(done.stderr.splitlines()), done.stderr)

    def test_help_of_every_command_imports_little(self):
        self.assertEqual(
            set(COMMANDS),
            {
                p.stem
                for p in PACKAGE.glob("*.py")
                if p.stem not in ("__init__", "errors", "version", "processor")
            }
            | {p.parent.name for p in PACKAGE.glob("*/__main__.py")},
        )
        for name in COMMANDS:
            code = (
                "import runpy, sys\n"
                "before = set(sys.modules)\n"
                "sys.argv = ['command', '--help']\n"
                "try:\n"
                f"    runpy.run_module('tf_fullbatch.{name}', run_name='__main__')\n"
                "except SystemExit as end:\n"
                "    loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
                "    print(*sorted(loaded - set(sys.stdlib_module_names)))\n"
                "    raise"
            )
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
            with self.subTest(command=name):
                self.assertEqual((0, ""), (done.returncode, done.stderr))
                *shown, loaded = done.stdout.splitlines()
                self.assertTrue(shown[0].startswith(f"usage: python -m tf_fullbatch.{name}"), shown[0])
                self.assertIn("tf_fullbatch", loaded)
                self.assertLessEqual(set(loaded.split()), HELP_IMPORTS)

    def test_public_names_load_when_used(self):
        code = (
            "import tf_fullbatch\nprint([bool(getattr(tf_fullbatch, name)) for name in tf_fullbatch.__all__])"
        )
        done = loaded_after(code + "\nfrom tf_fullbatch import FullBatchModel")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("tensorflow", done.stdout)
        self.assertNotIn("False", done.stdout)

    def test_tensorflow_says_nothing_of_itself_unless_it_is_asked(self):
        variable = "TF_CPP_MIN_LOG_LEVEL"
        code = f"import os, sys\n{{}}\nfrom tf_fullbatch import UserError\nbefore = os.environ.get('{variable}')\n"
        code += f"from tf_fullbatch import FullBatchModel\nprint(before, os.environ.get('{variable}'))\n"
        code += "print('a line', file=sys.stderr)"
        plain = {name: value for name, value in os.environ.items() if name != variable}
        for first, environment, levels, quiet in (
            ("", plain, "None 3", True),
            ("", plain | {variable: "1"}, "1 1", False),
            ("import tensorflow", plain, "None None", False),
        ):
            done = subprocess.run(
                [sys.executable, "-c", code.format(first)],
                capture_output=True, text=True, check=True, env=environment,
            )  # fmt: skip
            with self.subTest(first=first, levels=levels):
                self.assertEqual(done.stdout, f"{levels}\n")
                self.assertEqual(done.stderr.splitlines()[-1], "a line")
                if quiet:
                    self.assertEqual(done.stderr, "a line\n")


if __name__ == "__main__":
    unittest.main()
