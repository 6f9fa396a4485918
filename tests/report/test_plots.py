"""The figures: what is drawn for which rows, scales, units, and nothing that the data do not carry."""

import tempfile
import unittest
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from tests.report.made_runs import BASE, CLIPPED, SGD, finished_study, small_study, write_run
from tf_fullbatch.display import axes
from tf_fullbatch.report import (
    curve_plots,
    equal_loss_plots,
    figure_notes,
    gain_plots,
    memorisation_plots,
    style,
)
from tf_fullbatch.report.differences import paired_differences
from tf_fullbatch.report.drawing import Drawing
from tf_fullbatch.report.loading import load


def texts(figure: Figure) -> str:
    """Everything that is written in a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


class PlotsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def load(self):
        return load([self.folder])

    def drawing(self):
        return Drawing(self.load())

    def waterfall(self, *names: str) -> Figure:
        found = self.load()
        return gain_plots.waterfall([found.arm(name) for name in names])

    def test_learning_curves_have_a_line_a_row_in_each_panel(self):
        finished_study(self.folder)
        figure = curve_plots.learning_curves(self.drawing())
        self.assertEqual([len(panel.lines) for panel in figure.axes], [3] * 6)
        self.assertEqual([panel.get_xscale() for panel in figure.axes[:3]], ["linear", "linear", "log"])
        for word in ("Test error (%)", "Training objective", "Gradient evaluations (samples)",
                     "Wall time (seconds)", "clipped", "range over seeds"):  # fmt: skip
            self.assertIn(word, texts(figure))
        error = figure.axes[0].lines[1]
        np.testing.assert_allclose(error.get_ydata(), np.full(4, 25.0))

    def test_a_run_that_is_not_completed_ends_in_a_cross(self):
        write_run(self.folder / "a/seed-0", BASE, 0.9)
        write_run(self.folder / "a/seed-1", BASE.replacing(seed=1), 0.5, passes=2, outcome=None)
        panel = curve_plots.learning_curves(self.drawing()).axes[0]
        self.assertEqual([line.get_marker() for line in panel.lines], ["None", "x"])
        self.assertEqual(panel.lines[0].get_color(), panel.lines[1].get_color())

    def test_at_equal_loss_it_falls_to_the_right(self):
        finished_study(self.folder)
        errors, squares = equal_loss_plots.at_equal_loss(self.drawing()).axes
        for panel in (errors, squares):
            self.assertEqual(len(panel.lines), 2 * 3)  # each with the end of training
            self.assertEqual(panel.get_xscale(), "log")
            self.assertGreater(*panel.get_xlim())
            self.assertEqual(panel.get_xlabel(), "Training objective, falling")
        np.testing.assert_allclose(errors.lines[2].get_xdata(), [2, 1, 2 / 3, 0.5])
        np.testing.assert_allclose(errors.lines[2].get_ydata(), np.full(4, 25.0))
        np.testing.assert_allclose(squares.lines[2].get_ydata(), [9, 4.5, 3, 2.25])
        np.testing.assert_allclose(squares.lines[3].get_xydata(), [[0.5, 2.25]])

    def test_what_is_memorised(self):
        write_run(self.folder / "clean/seed-0", BASE, 0.9)
        self.assertFalse(memorisation_plots.changes_labels(self.drawing()))
        for seed, changed in enumerate(((0.5, 0.25), (0.75, 0.125))):
            write_run(self.folder / f"noisy/seed-{seed}", CLIPPED.replacing(seed=seed), 0.5, changed=changed)
        self.assertTrue(memorisation_plots.changes_labels(self.drawing()))
        figure = memorisation_plots.memorisation(self.drawing())
        for panel, mean in zip(figure.axes, (62.5, 62.5, 18.75, 18.75), strict=True):
            np.testing.assert_allclose(panel.lines[0].get_ydata(), np.full(4, mean))
            self.assertEqual(panel.get_ylim(), (-4, 104))
        by_cost, by_loss = figure.axes[:2]
        self.assertEqual(
            [len(by_cost.lines), len(by_loss.lines)], [1, 2]
        )  # none of the arm without changed labels
        self.assertGreater(*by_loss.get_xlim())
        for word in ("fitted as changed (%)", "right all the same (%)", "Gradient evaluations", "falling"):
            self.assertIn(word, texts(figure))

    def test_clipping_and_penalty_only_where_there_are_any(self):
        finished_study(self.folder)
        rates, norms, squares, clipped, penalty = curve_plots.along_training(self.drawing()).axes
        self.assertEqual(
            [len(panel.lines) for panel in (rates, norms, squares, clipped, penalty)], [3, 3, 3, 1, 1]
        )
        np.testing.assert_allclose(rates.lines[1].get_ydata(), np.full(4, 0.1))
        np.testing.assert_allclose(clipped.lines[0].get_ydata(), [100, 100, 0, 0])
        np.testing.assert_allclose(squares.lines[1].get_ydata(), [9, 4.5, 3, 2.25])
        # The same arm looks the same in every panel.
        self.assertEqual(penalty.lines[0].get_color(), norms.lines[2].get_color())

    def test_zero_error_and_nothing_measured(self):
        write_run(self.folder / "a", BASE, 1.0)
        labels = [panel.get_ylabel() for panel in curve_plots.along_training(self.drawing()).axes]
        self.assertEqual(
            labels,
            ["Learning rate", "Gradient norm before clipping (L2)", "Mean squared micro-batch gradient norm"],
        )
        notes = figure_notes.along_training_notes(self.drawing())
        self.assertIn("No arm clips.", notes)
        self.assertIn("No arm has a penalty.", notes)
        self.assertEqual(curve_plots.learning_curves(self.drawing()).axes[0].get_yscale(), "linear")

    def test_a_study_not_yet_begun(self):
        small_study(self.folder)
        found = self.load()
        draw = (
            curve_plots.learning_curves,
            curve_plots.generalisation,
            equal_loss_plots.at_equal_loss,
            curve_plots.along_training,
        )
        for figure in (kind(self.drawing()) for kind in draw):
            self.assertIn("not measured", texts(figure))
        self.assertIn("no completed run", texts(self.waterfall("fb", "clipped")))
        self.assertIn(
            "no seed completed in both", texts(gain_plots.difference_plot(paired_differences(found)))
        )
        style.save(curve_plots.learning_curves(self.drawing()), self.folder, "curves")

    def test_waterfall(self):
        finished_study(self.folder)
        figure = self.waterfall("fb", "clipped", "sgd")
        self.assertIn("+19.00 ± 2.48", texts(figure))
        self.assertIn("+1.00", texts(figure))
        self.assertIn("published", texts(figure))
        self.assertEqual([round(bar.get_width(), 6) for bar in figure.axes[0].patches], [19, 1])

    def test_gains_are_over_shared_seeds(self):
        for seed, accuracy in enumerate((0.5, 0.6, 0.1)):
            write_run(self.folder / f"a/seed-{seed}", BASE.replacing(seed=seed), accuracy)
        for seed, accuracy in enumerate((0.7, 0.8)):
            write_run(self.folder / f"b/seed-{seed}", CLIPPED.replacing(seed=seed), accuracy)
        found = self.load()
        self.assertEqual(gain_plots.shared_seeds(found.arms), [0, 1])
        figure = self.waterfall("a", "b")
        self.assertIn("+20.00", texts(figure))
        self.assertIn("not completed in every arm", texts(figure))

    def test_with_one_seed_there_is_no_mean(self):
        finished_study(self.folder, seeds=(0,))
        self.assertNotIn("mean", texts(self.waterfall("fb", "clipped")))
        figure = gain_plots.difference_plot(paired_differences(self.load()))
        self.assertNotIn("interval", texts(figure))
        self.assertEqual(figure.axes[0].collections[:], [])

    def test_intervals(self):
        finished_study(self.folder)
        figure = gain_plots.difference_plot(paired_differences(self.load()))
        self.assertIn("95 % interval", texts(figure))
        self.assertEqual(len(figure.axes[0].collections), 2)
        low, high = figure.axes[0].collections[0].get_segments()[0][:, 0]
        self.assertAlmostEqual((high - low) / 2, 2.484, delta=1e-3)

    def test_a_dollar_sign_is_no_formula(self):
        figure = axes.new_figure(4, 3)
        style.arm_legend(figure, [({}, r"a$\frac$"), ({}, "x$y$")])
        style.save(figure, self.folder, "dollars")  # an unfinished formula would not parse
        self.assertIn(r"\$y\$", figure.legends[0].get_texts()[1].get_text())

    def test_files_are_the_same_every_time(self):
        write_run(self.folder / "a", SGD, 0.9)
        for name in ("one", "two"):
            style.save(curve_plots.learning_curves(self.drawing()), self.folder, name)
        for kind in ("svg", "png", "pdf"):
            one, two = ((self.folder / f"{name}.{kind}").read_bytes() for name in ("one", "two"))
            self.assertEqual(one, two)


class StyleTest(unittest.TestCase):
    def test_twenty_eight_rows_look_different(self):
        looks = {str(sorted(style.arm_style(index).items(), key=str)) for index in range(28)}
        self.assertEqual(len(looks), 28)
        self.assertEqual(len({to_hex(style.arm_style(index)["color"]) for index in range(7)}), 7)

    def test_logarithmic_from_a_factor_of_four(self):
        for ends, scale in (([10, 39], "linear"), ([10, 40], "log"), ([10], "linear"), ([], "linear")):
            panel = axes.new_figure(3, 3).subplots()
            style.x_axis(panel, ends, "passes")
            self.assertEqual(panel.get_xscale(), scale)

    def test_units(self):
        self.assertEqual(style.time_unit([10.0, 100.0]), (1.0, "seconds"))
        self.assertEqual(style.time_unit([600.0]), (60.0, "minutes"))
        self.assertEqual(style.time_unit([6000.0, 120_000.0]), (3600.0, "hours"))
        self.assertEqual(style.time_unit([400_000.0]), (86400.0, "days"))
        self.assertEqual(style.time_unit([]), (1.0, "seconds"))
        self.assertEqual(
            [style.COUNT(v) for v in (0, 300, 3000, 2.5e6, 1.5e8)], ["0", "300", "3k", "2.5M", "150M"]
        )
