"""docs/CURVATURE.md: its Python runs, and its table of measures is the registry's."""

import contextlib
import io
import re

import keras
import numpy as np

from tests.command import CommandTestCase
from tests.house.test_readme import ROOT, blocks
from tf_fullbatch.analysis.measures.registry import MEASURES

DOCUMENT = ROOT / "docs" / "CURVATURE.md"


class CurvatureTest(CommandTestCase):
    def test_the_table_has_every_measure(self) -> None:
        rows = [
            line.split("|")[1] for line in DOCUMENT.read_text().splitlines() if re.match(r"\| `[a-z]", line)
        ]
        named = [name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)]
        self.assertEqual(sorted(named), sorted(MEASURES))

    def test_the_program_runs(self) -> None:
        (code,) = blocks(DOCUMENT, "python")
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
