"""The picture of a run: what is drawn, and that no input is too poor or too rich for it."""

import math
import struct
import tempfile
import unittest
from pathlib import Path

import numpy as np
import pandas as pd

from tests.rows import table_of
from tf_fullbatch.display import curves
from tf_fullbatch.display.lines import decimate
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS


def steps(count: int, per_pass: int = 1) -> list[dict[str, float]]:
    return [
        {
            "step": step,
            "epoch": step / per_pass,
            "loss": 2.2 / step,
            "cross_entropy": 2.0 / step,
            "penalised_objective": 2.5 / step,
            "accuracy": 1 - 0.9 / step,
            "gradient_norm": 3.0 / step,
            "mean_squared_micro_batch_gradient_norm": 16.0,
            "learning_rate": 0.4,
        }
        for step in range(1, count + 1)
    ]


def evaluations(count: int) -> list[dict]:
    return [
        {
            "step": step,
            "epoch": float(step),
            "split": split,
            "weights": weights,
            "loss": 1.0,
            "accuracy": 0.75,
        }
        for step in range(1, count + 1)
        for split in ("validation", "test")
        for weights in ("raw", "ema")
    ]


def draw_curves(metrics: list[dict], evaluated: list[dict], *more: object, **options: object):
    return curves.draw_curves(
        table_of(metrics, STEP_COLUMNS), table_of(evaluated, EVALUATION_COLUMNS), *more, **options
    )


def plot_curves(metrics: list[dict], evaluated: list[dict], *more: object, **options: object) -> None:
    curves.plot_curves(
        table_of(metrics, STEP_COLUMNS), table_of(evaluated, EVALUATION_COLUMNS), *more, **options
    )


def lines(panel) -> dict[str, tuple[list[float], list[float]]]:
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in panel.lines}


class CurvesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "curves.png"

    def test_every_quantity_is_drawn_in_its_unit(self):
        loss, error, gradient, rate = draw_curves(steps(3), evaluations(2), "title", clip_norm=0.25).axes
        self.assertEqual(lines(loss)["training"], ([1, 2, 3], [2, 1, 2 / 3]))
        self.assertEqual(lines(loss)["training, objective"][1], [2.2, 1.1, 2.2 / 3])
        self.assertEqual(lines(loss)["training, objective with penalty"][1], [2.5, 1.25, 2.5 / 3])
        self.assertEqual(loss.get_ylabel(), "Cross-entropy (nats)")
        self.assertEqual(lines(loss)["test, EMA weights"], ([1, 2], [1, 1]))
        np.testing.assert_allclose(lines(error)["training"][1], [90, 45, 30])
        np.testing.assert_allclose(lines(error)["validation"][1], [25, 25])
        self.assertEqual(lines(gradient)["update batch"][1], [3, 1.5, 1])
        self.assertEqual(lines(gradient)["micro-batches (RMS)"][1], [4, 4, 4])
        self.assertEqual(lines(gradient)["clipping threshold 0.25"][1], [0.25, 0.25])
        self.assertEqual(lines(rate)["learning rate"][1], [0.4, 0.4, 0.4])

    def test_objectives_equal_to_the_cross_entropy_are_not_drawn_again(self):
        rows = [dict.fromkeys(("penalised_objective", "loss"), row["cross_entropy"]) for row in steps(3)]
        rows = [row | equal for row, equal in zip(steps(3), rows, strict=True)]
        self.assertEqual(list(lines(draw_curves(rows, []).axes[0])), ["training"])

    def test_without_a_cross_entropy_the_objective_is_drawn(self):
        rows = [{**row, "penalised_objective": row["loss"], "cross_entropy": None} for row in steps(3)]
        panel = draw_curves(rows, evaluations(2)).axes[0]
        self.assertEqual(lines(panel)["training"][1], [2.2, 1.1, 2.2 / 3])
        self.assertEqual(lines(panel)["test"][1], [1, 1])
        self.assertEqual(panel.get_ylabel(), "Objective")

    def test_without_accuracies_the_update_is_drawn_in_the_place_of_the_error(self):
        rows = [
            {**row, "cross_entropy": None, "accuracy": None, "update_norm": row["step"]} for row in steps(3)
        ]
        evaluated = [{**row, "accuracy": None} for row in evaluations(2)]
        loss, update = draw_curves(rows, evaluated).axes[:2]
        self.assertEqual((loss.get_ylabel(), update.get_ylabel()), ("Loss", "Update norm (L2)"))
        self.assertEqual(lines(update), {"update": ([1, 2, 3], [1, 2, 3])})

    def test_legends_touch_no_other_panel(self):
        figure = draw_curves(steps(3), evaluations(2), "title", clip_norm=12.25)
        figure.draw_without_rendering()
        above, _, gradient, rate = figure.axes
        legend = gradient.get_legend().get_window_extent()
        labels = [label.get_window_extent() for label in above.get_xticklabels()]
        self.assertLess(legend.y1, min(label.y0 for label in labels))
        self.assertLess(legend.x1, rate.get_window_extent().x0)

    def test_all_points_are_within_the_axes(self):
        rows = [{**row, "accuracy": 1.0, "learning_rate": 0.0} for row in steps(5)]
        for panel in draw_curves(rows, evaluations(5), clip_norm=0.25).axes:
            bottom, top = panel.get_ylim()
            for _, values in lines(panel).values():
                self.assertLess(bottom, min(values))
                self.assertGreater(top, max(values))

    def test_poor_inputs_give_a_picture(self):
        one = steps(1)
        cases = {
            "empty": ([], []),
            "one row": (one, []),
            "only evaluations": ([], evaluations(1)),
            "blank": ([{"step": 1, "epoch": 1.0}, {"step": 2, "epoch": 2.0, "loss": None}], []),
            "nan": ([dict.fromkeys(one[0], math.nan)] * 2, []),
            "infinite": ([*one, {**steps(2)[1], "loss": math.inf, "gradient_norm": math.inf}], []),
            "zero": ([{**one[0], "loss": 0.0, "gradient_norm": 0.0, "accuracy": 1.0}], []),
            "epoch nowhere": ([{"step": 1, "loss": 1.0}], []),
        }
        for name, (rows, evaluated) in cases.items():
            with self.subTest(name):
                plot_curves(rows, evaluated, self.path, name, clip_norm=0.25)
                header = self.path.read_bytes()[:24]
                self.assertEqual(header[:8], b"\x89PNG\r\n\x1a\n")
                self.assertEqual(struct.unpack(">II", header[16:]), (1430, 988))

    def test_gaps_stay_gaps(self):
        rows = steps(4)
        rows[1] |= {"loss": math.nan, "cross_entropy": math.nan}
        values = lines(draw_curves(rows, []).axes[0])["training"][1]
        self.assertTrue(math.isnan(values[1]))
        self.assertEqual(values[3], 0.5)

    def test_many_points_become_few_that_span_the_same_run(self):
        panel = draw_curves(steps(50_000, per_pass=390), []).axes[3]
        x, y = lines(panel)["learning rate"]
        self.assertLessEqual(len(x), 500)
        self.assertGreater(x[-1], 0.99 * 50_000 / 390)
        np.testing.assert_allclose(y, 0.4)

    def test_bins_hold_every_point_once(self):
        bins = decimate(pd.Series(np.arange(10.0)), pd.Series(np.arange(0.0, 20.0, 2.0)), 3)
        np.testing.assert_allclose(bins["x"], [1.0, 4.0, 7.5])
        np.testing.assert_allclose(bins["y"], 2 * bins["x"])
        np.testing.assert_allclose([bins["low"][0], bins["high"][0]], [0.2, 3.8])

    def test_no_global_figure_is_left(self):
        import matplotlib.pyplot as plt

        plot_curves(steps(2), [], self.path)
        self.assertEqual(plt.get_fignums(), [])

    def test_place_that_cannot_be_written(self):
        with self.assertRaisesRegex(UserError, "cannot write .*curves.png"):
            plot_curves([], [], self.path / "below" / "curves.png")


if __name__ == "__main__":
    unittest.main()
