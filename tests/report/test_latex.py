"""LaTeX that compiles, whatever names contain."""

import shutil
import subprocess
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.made_runs import finished_study, many_arms
from tf_fullbatch.report import latex, tables
from tf_fullbatch.report.aggregate import aggregated
from tf_fullbatch.report.loading import load

_NASTY = "50 % of \\LaTeX & friends_ #1 {x} ~^ <b> é \N{GREEK SMALL LETTER ALPHA} 中 'q' \"d\" $x$ | `"


def table_of(folder: Path, title: str | None = None) -> str:
    found = load([folder])
    shown = tables.arms_table(found, aggregated(found))
    return latex.arms_table(found if title is None else replace(found, title=title), shown)


class LatexTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_special_characters(self):
        self.assertEqual(latex.escaped("a_b & 5 % #$"), r"a\_b \& 5 \% \#\$")
        self.assertEqual(latex.escaped("\\{~^}"), r"\textbackslash{}\{\textasciitilde{}\textasciicircum{}\}")
        self.assertEqual(latex.escaped("é \N{GREEK SMALL LETTER ALPHA}\n"), "é [U+03B1] ")

    def test_every_line_has_the_columns_of_the_alignment(self):
        finished_study(self.folder)
        text = table_of(self.folder)
        alignment = text.partition(r"\begin{tabular}{@{}")[2].partition("@{}}\n")[0].replace("@{}", "")
        rows = text.partition("\\midrule\n")[2].partition("\n\\bottomrule")[0].splitlines()
        self.assertEqual(len(rows), 3)
        self.assertEqual({row.count(" & ") + 1 for row in rows}, {len(alignment)})
        self.assertTrue(all(row.endswith(r" \\") for row in rows))
        header = text.partition("\\toprule\n")[2].partition("\n")[0]
        spans = header.count(r"\multicolumn{2}{c}")
        self.assertEqual(header.count(" & ") + 1 + spans, len(alignment))
        self.assertIn(r"sgd & 3 of 3 & 95.00 & ${}\pm{}$1.00", text)
        self.assertIn(r"over 3 seeds, at the end of training. Published: [1] a paper", text)

    def test_a_wide_table_has_smaller_letters_then_fewer_columns(self):
        names = ["arm", "training %", "passes", "wall time"]
        for cells, size, kept in (
            (["a", "1", "2", "3s"], "small", names),
            (["a" * 58, "1", "2", "3s"], "footnotesize", ["arm", "training %", "passes"]),
            (["a" * 99, "1", "2", "3s"], "scriptsize", ["arm", "passes"]),
        ):
            columns = [latex._Column(name, "<", [cell]) for name, cell in zip(names, cells, strict=True)]
            found = latex._fitting(columns)
            self.assertEqual((size, kept), (found[0], [column.name for column in found[1]]))

    def test_a_long_table_goes_over_pages(self):
        many_arms(self.folder, 41, (0,), 1)
        text = table_of(self.folder)
        self.assertIn(r"\begin{longtable}", text)
        self.assertNotIn(r"\begin{table}", text)
        self.assertIn("One seed, at the end of training.", text)

    @pytest.mark.slow
    def test_it_compiles(self):
        if shutil.which("pdflatex") is None:
            self.skipTest("needs pdflatex with booktabs")
        finished_study(self.folder / "few")
        many_arms(self.folder / "many", 45, (0,), 2)
        for name in ("few", "many"):
            body = table_of(self.folder / name, _NASTY)
            preamble = r"\documentclass{article}\usepackage{booktabs,longtable}\begin{document}"
            (self.folder / f"{name}.tex").write_text(f"{preamble}\n{body}\n\\end{{document}}\n")
            done = subprocess.run(
                ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"],
                cwd=self.folder, capture_output=True, text=True, errors="replace",
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stdout[-2000:])
