"""How the house stands: a file imports only from lower levels, or from files before it in its own level."""

import ast
import subprocess
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "tf_fullbatch"

# Level by level, and in each level file by file: what stands further down may import what stands above it. A new
# file gets its place here.
LEVELS: dict[str, tuple[str, ...]] = {
    "L0": ("trees", "outcomes"),
    "L1": ("config.settings", "config.step", "config.groups", "config.run"),
    "L2": (
        "losses",
        "data.stateless",
        "data.crop",
        "data.randaugment",
        "data.augment",
        "data.splits",
        "data.tfds_source",
        "data.sources",
        "data.pipeline",
        "models.moments",
        "models.layers",
        "models.resnet",
        "models.small",
        "models.build",
    ),
    "L3": ("penalties", "network_state", "objective"),
    "L4": (
        "transforms",
        "schedules",
        "optim.gradient_descent",
        "optim.keras_schedule",
        "optim.build",
    ),
    "L5": (
        "columns",
        "records",
        "reporting.tables",
        "reporting.progress",
        "reporting.summary",
        "reporting.hparams",
        "reporting.tensorboard",
        "reporting.curves",
        "training.sums",
        "training.evaluation",
        "training.step",
        "training.diagnosis",
        "training.assembly",
        "training.timeline",
        "training.session",
        "training.update_batch_model",
        "training.full_batch_model",
        "training.ema",
        "training.state",
        "training.checkpoint_files",
        "training.checkpoints",
        "training.callbacks",
        "training.checkpointer",
        "training.interruption",
        "processor",
        "devices",
    ),
    "L6": (
        "console",
        "flag_parsing",
        "cli_flags",
        "output_dir",
        "composition",
        "dry_run",
        "evaluate",
        "run_session",
        "run",
        "main",
        "child_processes",
        "launch_local",
        "benchmarking.options",
        "benchmarking.device",
        "benchmarking.contestants",
        "benchmarking.ratios",
        "benchmarking.rounds",
        "benchmarking.report",
        "benchmarking.fresh_process",
        "benchmark",
        "studies.record",
        "studies.cost",
        "studies.definition",
        "studies.runs",
        "studies.progress",
        "studies.execution",
        "comparison.statistics",
        "comparison.runs",
        "comparison.rows",
        "comparison.differences",
        "comparison.series",
        "comparison.tables",
        "comparison.wording",
        "comparison.style",
        "comparison.curve_plots",
        "comparison.accuracy_plots",
        "comparison.gain_plots",
        "comparison.page",
        "report",
        "study",
    ),
}
ORDER = [module for modules in LEVELS.values() for module in modules]

# Importing these imports neither TensorFlow nor Keras, which take seconds.
WITHOUT_TENSORFLOW = (
    "outcomes",
    *LEVELS["L1"],
    "data.splits",
    "data.sources",
    "schedules",
    "columns",
    "records",
    "reporting.tables",
    "reporting.progress",
    "reporting.summary",
    "reporting.hparams",
    "reporting.tensorboard",
    "reporting.curves",
    "training.checkpoint_files",
    "training.checkpoints",
    "processor",
    "console",
    "flag_parsing",
    "cli_flags",
    "output_dir",
    "main",
    "launch_local",
    "child_processes",
    "benchmarking.options",
    "benchmark",
    *(name for name in LEVELS["L6"] if name.startswith(("studies.", "comparison."))),
    "report",
    "study",
)
ABSL_FLAGS = ("flag_parsing",)


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


def own(names: Iterator[str]) -> set[str]:
    """Of imported names, the modules of this package, without its name."""
    return {name.removeprefix("tf_fullbatch.") for name in names} & set(ORDER)


def loaded_after(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh Python; its last line of output lists which of the slow packages were imported."""
    code += "\nimport sys\nprint(sorted({'tensorflow', 'keras', 'tensorflow_datasets'} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


class LevelsTest(unittest.TestCase):
    def test_every_file_has_a_place(self):
        self.assertEqual(sorted(modules()), sorted(ORDER))
        self.assertEqual(len(ORDER), len(set(ORDER)))

    def test_files_import_only_what_stands_above_them(self):
        # With a total order there can be no circle.
        for name, tree in modules().items():
            for other in own(imported(tree)):
                with self.subTest(file=name, imports=other):
                    self.assertLess(ORDER.index(other), ORDER.index(name))

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


class FastImportsTest(unittest.TestCase):
    def test_the_package_itself_and_what_needs_no_tensorflow(self):
        names = ["tf_fullbatch", *(f"tf_fullbatch.{name}" for name in WITHOUT_TENSORFLOW)]
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

    def test_public_names_load_when_used(self):
        code = (
            "import tf_fullbatch\nprint([bool(getattr(tf_fullbatch, name)) for name in tf_fullbatch.__all__])"
        )
        done = loaded_after(code + "\nfrom tf_fullbatch import FullBatchModel")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("tensorflow", done.stdout)
        self.assertNotIn("False", done.stdout)


if __name__ == "__main__":
    unittest.main()
