"""docs/MODELS.md: its table is the registry, with each family's settings, and its commands are accepted."""

import dataclasses
import re
import shlex
import unittest
from pathlib import Path

from tf_fullbatch.commands import models
from tf_fullbatch.models.base import NormalisedSettings
from tf_fullbatch.models.registry import MODELS

TEXT = (Path(__file__).parents[2] / "docs" / "MODELS.md").read_text(encoding="utf-8")


def rows() -> list[tuple[list[str], set[str]]]:
    """(names, settings) of each row of the table of families."""
    _, _, table = TEXT.partition("| family |")
    found = []
    for row in table.partition("\n\n")[0].splitlines()[2:]:
        cells = row.split("|")[1:-1]
        settings = set(re.findall(r"--(\w+)", cells[2]))
        if "and norms" in cells[2]:
            settings |= {field.name for field in dataclasses.fields(NormalisedSettings)}
        found.append((re.findall(r"`(\w+)`", cells[1]), settings))
    return found


class ModelsTest(unittest.TestCase):
    def test_every_network_has_its_family_s_settings(self) -> None:
        self.assertEqual([name for names, _ in rows() for name in names], list(MODELS))
        for names, settings in rows():
            for name in names:
                self.assertEqual(settings, {field.name for field in dataclasses.fields(MODELS[name])}, name)

    def test_what_norms_are(self) -> None:
        (listed,) = re.findall(r'"And norms" are `(.*)`\. Names', TEXT)
        fields = {field.name for field in dataclasses.fields(NormalisedSettings)}
        self.assertEqual(set(re.findall(r"--(\w+)", listed)), fields)

    def test_commands_are_accepted(self) -> None:
        (block,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
        commands = block.strip().splitlines()
        self.assertEqual(len(commands), 4)
        for command in commands:
            python, dash_m, module, *arguments = shlex.split(command, comments=True)
            self.assertEqual((python, dash_m, module), ("python", "-m", "tf_fullbatch.models"))
            self.assertIsNotNone(models.parse(["models", *arguments]))


if __name__ == "__main__":
    unittest.main()
