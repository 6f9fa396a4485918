"""docs/CURVATURE.md: its Python runs, and its table of measures is the registry's."""

import contextlib
import io
import re

import keras
import numpy as np

from tests.command import CommandTestCase
from tests.house.test_readme import ROOT, blocks
from tf_fullbatch.analysis.measures.registry import MEASURES
from tf_fullbatch.inspection.registry import QUESTIONS

DOCUMENT = ROOT / "docs" / "CURVATURE.md"


def named(text: str) -> list[str]:
    """What the first cells of the rows of tables name, in order of the alphabet."""
    cells = [line.split("|")[1] for line in text.splitlines() if re.match(r"\| `[a-z]", line)]
    return sorted(name for cell in cells for name in re.findall(r"`([a-z0-9_]+)`", cell))


class CurvatureTest(CommandTestCase):
    def test_the_tables_have_every_measure_and_every_question(self) -> None:
        along, after = DOCUMENT.read_text().split("\n## After training\n")
        self.assertEqual(named(along), sorted(MEASURES))
        self.assertEqual(named(after), sorted(QUESTIONS))

    def test_the_program_runs(self) -> None:
        code = blocks(DOCUMENT, "python")[0]
        keras.utils.set_random_seed(0)
        np.random.seed(0)
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            exec(compile(code, "CURVATURE.md", "exec"), {"__name__": "curvature"})
        history, values = shown.getvalue().split("\n[")
        self.assertRegex(history, r"sharpness +eigenvalue +2")
        self.assertEqual(len(values.strip("[]\n").split()), 3)


if __name__ == "__main__":
    import unittest

    unittest.main()
