"""docs/OPTIMIZERS.md: its tables are the registries', and its commands are accepted."""

import re
import shlex
import unittest
from pathlib import Path

from tf_fullbatch.config.cli_flags import parse
from tf_fullbatch.optim.methods.registry import OPTIMIZERS
from tf_fullbatch.optim.searches.registry import SEARCHES
from tf_fullbatch.optim.transforms.registry import GRADIENT_TRANSFORMS, UPDATE_TRANSFORMS

TEXT = (Path(__file__).parents[2] / "docs" / "OPTIMIZERS.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> set[str]:
    """The names in the first cells of the table whose first heading this is."""
    _, _, table = TEXT.partition(f"| `--{heading}=` |")
    rows = table.partition("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`([\w:.]+)`", row.split("|")[1])}


class OptimizersTest(unittest.TestCase):
    def test_tables_are_the_registries(self) -> None:
        self.assertEqual(first_cells("optimizer") - {"keras:NAME", "FILE.py:function"}, set(OPTIMIZERS))
        self.assertEqual(first_cells("line_search"), {"none", *SEARCHES})
        self.assertEqual(first_cells("gradient_transforms"), set(GRADIENT_TRANSFORMS))
        self.assertEqual(first_cells("update_transforms"), set(UPDATE_TRANSFORMS))

    def test_commands_are_accepted(self) -> None:
        (block,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
        commands = block.replace("\\\n", " ").strip().splitlines()
        self.assertEqual(len(commands), 4)
        for command in commands:
            python, dash_m, module, *arguments = shlex.split(command)
            self.assertEqual((python, dash_m, module), ("python", "-m", "tf_fullbatch.main"))
            self.assertIsNotNone(parse(["main", *arguments]))


if __name__ == "__main__":
    unittest.main()
