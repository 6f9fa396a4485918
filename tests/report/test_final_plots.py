"""Final accuracies: which arms and seeds are drawn, against which costs, and which arms are one recipe."""

import tempfile
import unittest
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from tests.report.made_runs import BASE, CLIPPED, SGD, TRAIN_SIZE, finished_study, small_study, write_run
from tests.report.test_plots import texts
from tf_fullbatch.report import final_plots
from tf_fullbatch.report.arms import Comparison
from tf_fullbatch.report.drawing import Drawing
from tf_fullbatch.report.loading import load
from tf_fullbatch.report.quantities import ACCURACY


def drawn(panel: Axes) -> list[ErrorbarContainer]:
    """What was drawn with error bars in a panel."""
    return [c for c in panel.containers if isinstance(c, ErrorbarContainer)]


def points(panel: Axes) -> dict[int, np.ndarray]:
    """How many points a line has -> `[points, 2]`."""
    lines = [np.array(bar[0].get_xydata(), float) for bar in drawn(panel)]
    return {len(line): line for line in lines}


class _InFolder(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def load(self) -> Comparison:
        return load([self.folder])


class AccuracyPlotTest(_InFolder):
    def plot(self) -> Figure:
        return final_plots.final_plot(self.load().arms)

    def test_seeds_mean_and_standard_deviation_of_every_row(self):
        finished_study(self.folder)
        figure = self.plot()
        (panel,) = figure.axes
        dots = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "o"]
        np.testing.assert_allclose(dots, [95, 96, 94, 75, 76, 74, 93, 95, 94])
        np.testing.assert_allclose([bar[0].get_xdata()[0] for bar in drawn(panel)], [95, 75, 94])
        ends = [bar[2][0].get_segments()[0][:, 0] for bar in drawn(panel)]
        np.testing.assert_allclose(ends, [[94, 96], [74, 76], [93, 95]])  # the deviation of 1, 2, 3 is 1
        for word in ("sgd", "Test accuracy (%)", "mean ± sample standard deviation"):
            self.assertIn(word, texts(figure))

    def test_one_seed_has_no_mean(self):
        finished_study(self.folder, seeds=(0,))
        figure = self.plot()
        self.assertEqual(drawn(figure.axes[0]), [])
        self.assertNotIn("mean", texts(figure))

    def test_what_an_accuracy_is_of_is_said_where_rows_differ(self):
        write_run(self.folder / "a", BASE, 0.9)
        write_run(self.folder / "b", SGD, None, validation=0.8)
        shown = texts(self.plot())
        for word in ("a (test)", "b (validation)", "Test or validation accuracy (%)"):
            self.assertIn(word, shown)

    def test_unfinished_runs_have_no_final_accuracy(self):
        write_run(self.folder / "a", BASE, 0.9)
        write_run(self.folder / "b", SGD, 0.8, passes=2, outcome=None)
        (panel,) = self.plot().axes
        self.assertEqual([line.get_xdata()[0] for line in panel.lines], [90])

    def test_nothing_completed(self):
        small_study(self.folder)
        self.assertIn("not measured", texts(self.plot()))
        self.assertFalse(final_plots.costs_differ(self.load().arms))


class CostPlotTest(_InFolder):
    def runs(self) -> None:
        """SGD at 2, 4 and 8 passes, and a penalised arm of 4 passes with two gradient evaluations each."""
        for passes, accuracy in ((8, 0.8), (2, 0.6), (4, 0.7)):
            for seed in (0, 1):
                settings = SGD.replacing(epochs=passes, seed=seed, warmup_epochs=passes / 4)
                write_run(self.folder / f"sgd_{passes}/seed-{seed}", settings, accuracy + seed / 100)
        write_run(self.folder / "penalty", CLIPPED, 0.5)

    def test_a_recipe_is_the_same_settings_at_several_lengths(self):
        self.runs()
        groups = final_plots.recipes(self.load().arms)
        names = [[arm.name for arm in group] for group in groups]
        self.assertCountEqual(names, [["penalty"], ["sgd_2", "sgd_4", "sgd_8"]])

    def test_costs(self):
        self.runs()
        figure = final_plots.cost_plot(Drawing(self.load()), ACCURACY)
        passes, evaluations, _ = (points(panel) for panel in figure.axes)
        np.testing.assert_allclose(passes[3], [[2, 60.5], [4, 70.5], [8, 80.5]])
        np.testing.assert_allclose(passes[1], [[4, 50]])
        np.testing.assert_allclose(evaluations[3][:, 0], np.array([2, 4, 8]) * TRAIN_SIZE)
        np.testing.assert_allclose(evaluations[1][:, 0], [2 * 4 * TRAIN_SIZE])
        (ranges,) = (
            bar[2][0].get_segments() for bar in drawn(figure.axes[0]) if len(bar[0].get_xdata()) == 3
        )
        np.testing.assert_allclose([ends[:, 1] for ends in ranges], [[60, 61], [70, 71], [80, 81]])
        for word in (
            "Gradient evaluations (samples)",
            "Test accuracy (%)",
            "sgd_2, sgd_4, sgd_8",
            "range over seeds",
        ):
            self.assertIn(word, texts(figure))

    def test_drawn_only_where_costs_differ(self):
        write_run(self.folder / "a", BASE, 0.9)
        write_run(self.folder / "b", SGD, 0.8)
        self.assertFalse(final_plots.costs_differ(self.load().arms))
        write_run(self.folder / "c", CLIPPED, 0.8)
        self.assertTrue(final_plots.costs_differ(self.load().arms))


if __name__ == "__main__":
    unittest.main()
