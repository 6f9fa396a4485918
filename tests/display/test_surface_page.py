"""A page of a surface: what is in it, and what it needs."""

import json
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

from tests.display.made_surfaces import LOSSES, PLANE, T, bowl, line
from tf_fullbatch.display.surface_page import write_surface_page
from tf_fullbatch.errors import UserError


class PageTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "page.html"

    def drawn(self, *arguments, **settings) -> tuple[list[dict], dict]:
        """The traces and the layout that the page hands to plotly."""
        write_surface_page(*arguments[:1], self.path, *arguments[1:], **settings)
        call = self.path.read_text(encoding="utf-8").rpartition("Plotly.newPlot(")[2]
        decoder, found = json.JSONDecoder(), []
        while len(found) < 3:  # the element's id, the traces, the layout
            call = call.lstrip(", \n")
            value, end = decoder.raw_decode(call)
            found.append(value)
            call = call[end:]
        return found[1], found[2]

    def test_surface_and_path(self):
        surface = bowl()
        (drawn, path), layout = self.drawn(surface, "A title", plane=PLANE, losses=LOSSES)
        np.testing.assert_array_equal(drawn["x"], surface.coordinates[0])
        np.testing.assert_array_equal(drawn["y"], surface.coordinates[1])
        np.testing.assert_array_equal(drawn["z"], surface.loss.T)  # rows are along y
        np.testing.assert_array_equal(path["x"], T)
        np.testing.assert_array_equal(path["z"], LOSSES.path)
        scene = layout["scene"]
        self.assertEqual(scene["zaxis"]["type"], "log")
        self.assertEqual(scene["zaxis"]["title"]["text"], "Loss (frozen statistics)")
        self.assertEqual(scene["xaxis"]["title"]["text"], "Principal direction 1 (87.5%)")
        self.assertEqual(layout["title"]["text"], "A title")

    def test_what_is_not_finite_leaves_a_gap(self):
        surface = bowl(-1.0)
        surface.loss[2, 3], surface.loss[0, 1] = np.nan, np.inf
        (drawn,), layout = self.drawn(surface)
        self.assertEqual((drawn["z"][3][2], drawn["z"][1][0]), (None, None))
        self.assertEqual(layout["scene"]["zaxis"]["type"], "linear")
        surface.loss[:] = np.nan
        self.drawn(surface)

    def test_it_needs_no_network(self):
        self.drawn(bowl())
        page = self.path.read_text(encoding="utf-8")
        self.assertEqual(re.findall(r"<(?:script|link|img)\b[^>]*\b(?:src|href)=", page), [])
        self.assertGreater(len(page), 1e6)

    def test_without_plotly(self):
        with (
            mock.patch.dict("sys.modules", {"plotly": None}),
            self.assertRaisesRegex(UserError, r"needs plotly: pip install 'tf-fullbatch\[plotly\]'\.$"),
        ):
            write_surface_page(bowl(), self.path)
        self.assertFalse(self.path.exists())

    def test_words(self):
        with self.assertRaisesRegex(UserError, "takes a surface of 2 axes, but it has 1"):
            write_surface_page(line(1.0), self.path)
        with self.assertRaisesRegex(UserError, "give both, or neither"):
            write_surface_page(bowl(), self.path, plane=PLANE)


if __name__ == "__main__":
    unittest.main()
