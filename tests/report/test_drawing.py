"""Curves in panels: many arms, explosions that spoil no axis, and lines that do not turn back."""

import math
import tempfile
import unittest
from pathlib import Path

import numpy as np

from tests.report.made_runs import BASE, SGD, config, many_arms, write_run
from tests.report.test_plots import texts
from tf_fullbatch.report import curve_plots, equal_loss_plots, figure_notes, final_plots
from tf_fullbatch.report.drawing import Drawing
from tf_fullbatch.report.loading import load
from tf_fullbatch.report.ranking import BEST, ranked
from tf_fullbatch.report.series import falling_only


class _InFolder(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def drawing(self) -> Drawing:
        return Drawing(load([self.folder]))


class ManyArmsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        many_arms(cls.folder, 25, (0,), 2)

    def drawing(self) -> Drawing:
        return Drawing(load([self.folder]))

    def test_the_best_are_coloured_and_the_others_one_grey_line(self):
        drawing = self.drawing()
        self.assertEqual(drawing.best, list(range(BEST)))
        panel = curve_plots.learning_curves(drawing).axes[0]
        self.assertEqual(len(panel.lines), BEST + 1)
        grey = np.array(panel.lines[0].get_ydata(), float)
        self.assertEqual(np.isnan(grey).sum(), 25 - BEST)
        self.assertEqual(np.isfinite(grey).sum(), 2 * (25 - BEST))
        self.assertIn("13 other arms", texts(panel.figure))
        self.assertIn("the 12 arms with the best means", " ".join(figure_notes.learning_curve_notes(drawing)))

    def test_all_figures_in_the_order_of_their_means(self):
        arms = self.drawing().comparison.arms
        self.assertEqual(ranked(arms[::-1]), list(range(24, -1, -1)))
        panel = final_plots.ranking_plot(arms[::-1]).axes[0]
        lines = [line.get_xydata() for line in panel.lines if line.get_marker() == "None"]
        means = [y for x, y in np.concatenate(lines) if x % 1 < 0.5]  # where each arm's line ends
        self.assertEqual(len(means), 25)
        self.assertEqual(means, sorted(means, reverse=True))

    def test_names_stand_at_the_axis_where_they_have_room(self):
        arms = self.drawing().comparison.arms
        (panel,) = final_plots.ordered_plot(arms[::-1]).axes
        self.assertEqual([label.get_text() for label in panel.get_yticklabels()], [arm.name for arm in arms])
        panel, *_ = final_plots.ordered_plot(2 * arms).axes
        self.assertIn("Place of the arm's mean", panel.get_xlabel())

    def test_by_default_the_best_are_compared_with_the_first(self):
        self.assertEqual(len(self.drawing().comparison.pairs), BEST - 1)


class ExplodedTest(_InFolder):
    def setUp(self):
        super().setUp()
        write_run(self.folder / "calm", BASE, 0.9, losses=[2.0, 1.0, 0.5])
        write_run(self.folder / "exploding", SGD, 0.5, losses=[2.0, 1.0, 1e12, math.inf])

    def test_the_axis_ends_where_the_others_do_and_says_so(self):
        _, gap, test, loss_gap = curve_plots.generalisation(self.drawing()).axes
        self.assertLess(test.get_ylim()[1], 3)
        self.assertLess(loss_gap.get_ylim()[1], 3)
        for panel in (test, loss_gap):
            self.assertEqual(panel.get_title(loc="right"), "beyond the axis: exploding (to 1e+12)")
        self.assertEqual(gap.get_title(loc="right"), "")
        self.assertIn(
            "not finite are left out, of exploding",
            " ".join(figure_notes.generalisation_notes(self.drawing())),
        )

    def test_a_final_loss_far_beyond_is_written_at_the_edge(self):
        for name, losses in (("a", [0.5]), ("b", [0.6]), ("c", [1e9])):
            write_run(self.folder / "regression" / name, config(learning_rate=losses[0]), None, losses=losses)
        arms = load([self.folder / "regression"]).arms
        figure = final_plots.final_plot(arms)
        self.assertIn("1000000000", texts(figure).replace("1e+09", "1000000000"))
        self.assertLess(figure.axes[0].get_xlim()[1], 1)


class EqualLossTest(_InFolder):
    def test_a_line_never_turns_back_and_what_it_leaves_out_is_dots(self):
        run = write_run(self.folder / "a", config(epochs=6), 0.9)
        lines = run.metrics.read_text().splitlines()
        place = lines[0].split(",").index("loss")
        for row, loss in enumerate((4.0, 2.0, 3.0, 1.0, 1.5, 1.25), start=1):
            cells = lines[row].split(",")
            cells[place] = str(loss)
            lines[row] = ",".join(cells)
        run.metrics.write_text("\n".join([*lines, ""]))
        panel = equal_loss_plots.at_equal_loss(self.drawing()).axes[0]
        line, dots, end = panel.lines
        np.testing.assert_allclose(line.get_xdata(), [4, 2, 1])
        np.testing.assert_allclose(dots.get_xdata(), [3, 1.5, 1.25])
        np.testing.assert_allclose(end.get_xdata(), [1.25])

    def test_falling_only(self):
        losses = np.array([np.nan, 2.0, 2.0, 1.0, np.inf, 0.5])
        np.testing.assert_array_equal(
            falling_only({"training_loss": losses}), [False, True, False, True, False, True]
        )
