"""Folders of results: found by their settings, never written over by others."""

import math

import numpy as np

from tests.command import contents
from tests.inspection.runs import AnalysisCase
from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection.base import Figure
from tf_fullbatch.inspection.result_folder import ResultFolder

FIGURES = [
    Figure("trace", 1.25, "hessian", 0.5, "a, b"),
    Figure("top", math.nan),
    Figure("x", math.inf, standard_error=math.nan),
]


class ResultFolderTest(AnalysisCase):
    def of(self, **settings) -> ResultFolder:
        return ResultFolder.of(self.folder, "step-1-trace", settings)

    def test_the_same_settings_find_it_and_others_get_the_next_name(self):
        first = self.of(k=1, names=("a", "b"))
        self.assertFalse(first.path.exists())  # nothing is made before there is something to keep
        first.write_figures(FIGURES, 12.5)
        second = self.of(k=2)
        self.assertEqual((first.path.name, second.path.name), ("step-1-trace", "step-1-trace-2"))
        second.write_arrays("part", {"a": np.arange(3)})
        self.assertEqual(self.of(k=3).path.name, "step-1-trace-3")
        for folder, settings, complete in (
            (first, {"k": 1, "names": ["a", "b"]}, True),
            (second, {"k": 2}, False),
        ):
            found = self.of(**settings)
            self.assertEqual((found.path, found.is_complete, found.exists), (folder.path, complete, True))

    def test_somebody_elses_folder_is_left_alone(self):
        other = self.folder / "step-1-trace"
        other.mkdir()
        (other / "notes.txt").write_text("mine")
        found = self.of(k=1)
        found.write_figures(FIGURES, 1)
        self.assertEqual(found.path.name, "step-1-trace-2")
        self.assertEqual(contents(other), {"notes.txt": b"mine"})

    def test_figures_come_back(self):
        self.of(k=1).write_figures(FIGURES, 12.5)
        figures, spent = self.of(k=1).read_figures()
        self.assertEqual((str(figures), spent), (str(FIGURES), 12.5))  # nan is not equal to itself
        table = (self.folder / "step-1-trace/figures.csv").read_text()
        self.assertEqual(
            table.splitlines()[:3],
            ["quantity,of,value,standard_error,remark", 'trace,hessian,1.25,0.5,"a, b"', "top,,nan,,"],
        )

    def test_arrays_come_back_and_damage_is_said(self):
        folder = self.of(k=1)
        self.assertIsNone(folder.read_arrays("part"))
        folder.write_arrays("part", {"a": np.arange(3), "word": np.array("x")})
        found = folder.read_arrays("part")
        self.assertEqual((found["a"].tolist(), str(found["word"])), ([0, 1, 2], "x"))
        path = folder.path / "part.npz"
        for content in (b"", b"x", path.read_bytes()[:-40]):
            path.write_bytes(content)
            with self.assertRaisesRegex(UserError, "part.npz is damaged.*delete it"):
                folder.read_arrays("part")
        folder.write_figures(FIGURES, 1)
        (folder.path / "figures.json").write_text('{"figures": [{}]}')
        with self.assertRaisesRegex(UserError, "figures.json is damaged.*delete its folder"):
            folder.read_figures()
