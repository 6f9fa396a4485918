"""Pictures of landscapes: what is drawn, and that no surface is too poor for them."""

import struct
import tempfile
import unittest
from pathlib import Path

import numpy as np

from tests.display.made_surfaces import LOSSES, PLANE, T, bowl, line
from tf_fullbatch.analysis.surfaces import Surface, axis
from tf_fullbatch.display.landscapes import draw_barriers, draw_lines, draw_path, draw_plane, save_figure
from tf_fullbatch.errors import UserError


def labels(panel) -> list[str]:
    return list(panel.get_legend_handles_labels()[1])


class LinesTest(unittest.TestCase):
    def test_losses_and_errors_of_every_surface(self):
        figure = draw_lines({"one": line(1.0), "two": line(2.0)}, "A title")
        loss, error = figure.axes
        self.assertEqual(labels(loss), ["one", "two"])
        np.testing.assert_array_equal(loss.lines[1].get_xdata(), line(2.0).coordinates[0])
        np.testing.assert_array_equal(loss.lines[1].get_ydata(), line(2.0).loss)
        np.testing.assert_allclose(error.lines[0].get_ydata(), 100 * (1 - line(1.0).accuracy))
        self.assertEqual(loss.get_ylabel(), "Loss (recalibrated statistics)")
        self.assertEqual(error.get_xlabel(), "Coordinate along the direction")
        self.assertEqual(figure.get_suptitle(), "A title")

    def test_without_accuracies_there_is_one_panel(self):
        self.assertEqual(len(draw_lines({"one": line(1.0, accuracy=None)}).axes), 1)

    def test_statistics_that_differ_are_not_on_the_axis(self):
        self.assertEqual(draw_lines({"one": line(1.0), "two": slice_of_bowl()}).axes[0].get_ylabel(), "Loss")

    def test_a_wide_range_is_logarithmic(self):
        self.assertEqual(draw_lines({"one": line(1.0)}).axes[0].get_yscale(), "linear")
        wide = draw_lines({"one": line(1.0), "two": line(300.0)}).axes[0]
        self.assertEqual(wide.get_yscale(), "log")
        low, high = wide.get_ylim()
        self.assertLess(low, 0.5)
        self.assertGreater(high, 300)

    def test_what_is_not_finite_leaves_a_gap(self):
        broken = line(1.0)
        broken.loss[3], broken.loss[5] = np.inf, np.nan
        drawn = draw_lines({"one": broken}).axes[0].lines[0].get_ydata()
        self.assertEqual(list(np.flatnonzero(np.isnan(drawn))), [3, 5])
        draw_lines({})


class BarriersTest(unittest.TestCase):
    def test_heights_and_chords(self):
        figure = draw_barriers({"line": line(2.0), "curve": line(0.25, accuracy=None)})
        loss, error = figure.axes
        self.assertEqual(labels(loss), ["line: barrier 2, of the error 50 %", "curve: barrier 0.25"])
        chord = loss.lines[2]
        self.assertEqual((list(chord.get_xdata()), list(chord.get_ydata())), ([0, 1], [0.5, 1.5]))
        np.testing.assert_allclose(error.lines[2].get_ydata(), [10, 10])

    def test_of_an_incomplete_path_there_is_no_height(self):
        half = line(2.0)
        half.loss[12:] = np.nan
        self.assertEqual(labels(draw_barriers({"half": half}).axes[0]), ["half"])

    def test_the_legend_is_below_the_panels(self):
        figure = draw_barriers({"line": line(2.0), "curve": line(0.25)})
        figure.draw_without_rendering()
        (legend,) = figure.legends
        bottom = min(panel.get_tightbbox().y0 for panel in figure.axes)
        self.assertLess(legend.get_window_extent().y1, bottom)


class PlaneTest(unittest.TestCase):
    def test_contours_go_over_the_whole_plane(self):
        panel, bar = draw_plane(bowl()).axes
        self.assertEqual((panel.get_xlim(), panel.get_ylim()), ((-1, 1), (-0.5, 0.5)))
        filled = panel.collections[0]
        self.assertAlmostEqual(filled.levels[0], 0.01)
        self.assertAlmostEqual(filled.levels[-1], 1.76)
        self.assertAlmostEqual(filled.levels[1] / filled.levels[0], filled.levels[-1] / filled.levels[-2])
        self.assertEqual(bar.get_ylabel(), "Loss (frozen statistics)")
        np.testing.assert_array_equal(panel.lines[0].get_xdata(), [0])

    def test_the_first_axis_is_across(self):
        """A level l of the bowl reaches to `a = sqrt(l)` across, and to `b = sqrt(l / 3)` upwards."""
        lines = draw_plane(bowl()).axes[0].collections[1]
        number = int(np.argmin(np.abs(lines.levels - 0.5)))
        across, upwards = lines.get_paths()[number].vertices.max(axis=0)
        level = lines.levels[number] - 0.01
        np.testing.assert_allclose([across, upwards], np.sqrt([level, level / 3]), rtol=0.05)

    def test_a_narrow_or_negative_range_is_linear(self):
        for lowest in (10.0, -1.0):
            levels = draw_plane(bowl(lowest)).axes[0].collections[0].levels
            np.testing.assert_allclose(np.diff(levels), levels[1] - levels[0])

    def test_poor_surfaces(self):
        empty = Surface.empty([axis(5), axis(5)], "batch")
        self.assertEqual(draw_plane(empty).axes[0].texts[0].get_text(), "not computed")
        part, level = bowl(), bowl()
        part.loss[4:] = np.nan
        part.loss[1, 1] = np.inf
        level.loss[:] = 2.0
        for surface in (part, level):
            draw_plane(surface).draw_without_rendering()


class PathTest(unittest.TestCase):
    def test_the_path_over_the_plane_and_its_own_losses_beside(self):
        figure = draw_path(bowl(), PLANE, LOSSES, steps=range(0, 60, 10))
        plane, losses = figure.axes[:2]
        np.testing.assert_array_equal(plane.lines[0].get_xdata(), T)
        np.testing.assert_array_equal(plane.lines[0].get_ydata(), T**2 / 2)
        self.assertEqual(
            (plane.get_xlabel(), plane.get_ylabel()),
            tuple(f"Principal direction {i}" for i in ("1 (87.5%)", "2 (10.0%)")),
        )
        self.assertEqual(labels(losses), ["at the checkpoints", "of the plane below them"])
        for drawn, expected in zip(losses.lines, (LOSSES.path, LOSSES.plane), strict=True):
            np.testing.assert_array_equal(drawn.get_ydata(), expected)
        np.testing.assert_array_equal(losses.lines[0].get_xdata(), [0, 10, 20, 30, 40, 50])
        self.assertEqual(losses.get_xlabel(), "Step")
        self.assertEqual(draw_path(bowl(), PLANE, LOSSES).axes[1].get_xlabel(), "Checkpoint")


class FilesTest(unittest.TestCase):
    def test_a_png_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plane.png"
            save_figure(draw_plane(bowl(), "A plane"), path)
            content = path.read_bytes()
            self.assertEqual(content[:8], b"\x89PNG\r\n\x1a\n")
            self.assertGreater(min(struct.unpack(">II", content[16:24])), 700)
            with self.assertRaisesRegex(UserError, "cannot write"):
                save_figure(draw_plane(bowl()), Path(folder) / "absent" / "plane.png")

    def test_another_number_of_axes_is_refused(self):
        with self.assertRaisesRegex(UserError, "takes a surface of 1 axes, but it has 2"):
            draw_lines({"plane": bowl()})
        with self.assertRaisesRegex(UserError, "takes a surface of 1 axes, but it has 2"):
            draw_barriers({"plane": Surface.empty([axis(3), axis(3)], "batch")})
        with self.assertRaisesRegex(UserError, "takes a surface of 2 axes, but it has 1"):
            draw_plane(line(1.0))


def slice_of_bowl() -> Surface:
    whole = bowl()
    return Surface(whole.coordinates[:1], whole.loss[:, 4], whole.accuracy[:, 4], "frozen", "")


if __name__ == "__main__":
    unittest.main()
