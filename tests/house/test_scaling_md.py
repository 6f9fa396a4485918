"""docs/scaling.md: its devices and options are the code's, its numbers of replicas are right, its command is taken."""

import re
import unittest

import pytest

from tests.house.test_readme import ROOT, blocks
from tests.scaling_examples import (
    EXAMPLES,
    VARIED,
    WHOLE,
    by_size,
    device_table,
    option_table,
    varied,
    work,
)
from tf_fullbatch.config import cli_flags
from tf_fullbatch.data.plan import pieces
from tf_fullbatch.scaling.cluster import parsed

DOCUMENT = ROOT / "docs" / "scaling.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


class ScalingTest(unittest.TestCase):
    def test_tables_are_those_of_the_code(self):
        for table in (device_table(), option_table()):
            for line in table.splitlines():
                with self.subTest(line[:40]):
                    self.assertIn(f"{line}\n", TEXT)

    def test_numbers_of_replicas_are_the_fewest_for_their_rounds(self):
        named = re.findall(r"(\d+) \((\d)(?: round)?\)", TEXT)
        self.assertEqual(len(named), 7)
        for replicas, rounds in named:
            self.assertEqual(pieces(391, int(rounds)), int(replicas))

    def test_clusters_that_are_compared_are_in_its_tables(self):
        for clusters in VARIED.values():
            for text in clusters:
                with self.subTest(text):
                    parsed(text)
                    self.assertIn(f"\n{text} ", TEXT)

    def test_its_command_is_taken(self):
        (command,) = [
            block for block in blocks(DOCUMENT, "") if block.startswith("python -m tf_fullbatch.main")
        ]
        config = cli_flags.parse(["main", *command.split()[3:]])
        self.assertEqual(config.runtime.planned_cluster, parsed("64x8:h100"))
        for name, flags in EXAMPLES.items():
            self.assertIn(f"\n| {name} | `python -m tf_fullbatch.main {' '.join(flags)}` |\n", TEXT)
            for text in WHOLE:
                self.assertTrue(
                    cli_flags.parse(["main", *flags, "--dry_run", f"--cluster={text}"]).runtime.dry_run
                )

    @pytest.mark.slow
    def test_tables_of_runs_are_those_of_the_model(self):
        works = {name: work(flags) for name, flags in EXAMPLES.items()}
        self.assertIn(f"\n{by_size(works)}\n", TEXT)
        for name, clusters in VARIED.items():
            with self.subTest(name):
                self.assertIn(f"\n{varied(works[name], clusters).rstrip()}\n", TEXT)


if __name__ == "__main__":
    unittest.main()
