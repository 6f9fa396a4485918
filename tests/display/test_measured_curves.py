"""The picture of what a run measured: what is drawn where, on which scale, and what is left out and said."""

import math
import struct
import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tests.rows import table_of
from tf_fullbatch.analysis.edge import Edge
from tf_fullbatch.display.measured_curves import draw_measurements, panels_of, plot_measurements
from tf_fullbatch.records.columns import MEASUREMENT_COLUMNS
from tf_fullbatch.records.measured import curves_of


def table(*figures: tuple[str, str, str, list[float]]) -> pd.DataFrame:
    """measurements.csv of (measure, quantity, of, values), measured every 2 passes."""
    rows: list[dict[str, Any]] = [
        {"step": 2 * k, "epoch": 2.0 * k, "measure": m, "quantity": q, "of": of, "value": value}
        for m, q, of, values in figures
        for k, value in enumerate(values)
    ]
    return table_of(rows, MEASUREMENT_COLUMNS)


def lines(panel: Axes) -> dict[str, list[float]]:
    return {str(line.get_label()): list(line.get_ydata()) for line in panel.lines}


SHARPNESS = (
    ("sharpness", "eigenvalue", "1", [1.0, 2.0, 2.1]),
    ("sharpness", "eigenvalue", "2", [0.5, 0.6, 0.7]),
    ("sharpness", "residual", "1", [1e-4, 1e-4, 1e-4]),
    ("sharpness", "converged", "1", [1.0, 0.0, 1.0]),
    ("sharpness", "converged", "2", [1.0, 1.0, 1.0]),
    ("sharpness", "threshold", "", [2.0, 2.0, 2.0]),
    ("sharpness", "ratio", "", [0.5, 1.0, 1.05]),
    ("sharpness", "gradient_evaluations", "", [20.0, 9.0, 9.0]),
    ("sharpness", "seconds", "", [3.0, 0.1, 0.1]),
)


class MeasuredCurvesTest(unittest.TestCase):
    def test_eigenvalues_stand_beside_the_threshold_and_costs_and_checks_nowhere(self):
        eigenvalues, ratio = draw_measurements(table(*SHARPNESS)).axes
        self.assertEqual(
            lines(eigenvalues),
            {"eigenvalue 1": [1, 2, 2.1], "eigenvalue 2": [0.5, 0.6, 0.7], "threshold": [2, 2, 2]},
        )
        bound = next(line for line in eigenvalues.lines if line.get_label() == "threshold")
        self.assertEqual(bound.get_linestyle(), "--")
        self.assertEqual(eigenvalues.get_ylabel(), "Sharpness: eigenvalues")
        self.assertEqual(eigenvalues.get_title(loc="right"), "1 of 6 eigenvalues not converged")
        self.assertEqual([list(line.get_ydata()) for line in ratio.lines], [[0.5, 1.0, 1.05], [1.0, 1.0]])

    def test_the_time_at_the_edge_is_shaded_in_the_panel_of_the_ratio(self):
        edge = Edge(
            entry_step=2,
            exit_step=None,
            dwell=2,
            mean_ratio=1.02,
            interval=(1.0, 1.04),
            measurements=2,
            window=2,
        )
        eigenvalues, ratio = draw_measurements(table(*SHARPNESS), edge=edge).axes
        self.assertEqual(len(eigenvalues.patches), 0)
        (shaded,) = ratio.patches
        self.assertEqual((shaded.get_x(), shaded.get_x() + shaded.get_width()), (2, 4))
        self.assertIn("1.02", str(shaded.get_label()))

    def test_scales_follow_the_ranges(self):
        panels = draw_measurements(
            table(
                ("critical_sharpness", "critical_sharpness", "", [1.0, 2.0, 3.0]),
                ("snr", "snr", "", [1e-3, 1.0, 50.0]),
                ("noise_scale", "squared_signal", "", [100.0, 1e-3, -1e-2]),
            )
        ).axes
        self.assertEqual([panel.get_yscale() for panel in panels], ["linear", "log", "symlog"])

    def test_a_standard_error_is_a_band_around_its_quantity(self):
        (panel,) = draw_measurements(
            table(("snr", "snr", "", [2.0, 3.0]), ("snr", "snr_standard_error", "", [0.5, 0.25]))
        ).axes
        heights = panel.collections[0].get_paths()[0].vertices[:, 1]
        self.assertEqual(set(np.round(heights, 6)), {1.5, 2.5, 2.75, 3.25})

    def test_a_standard_error_beyond_zero_does_not_move_a_logarithmic_axis(self):
        values, errors = [10.0, 1.0, 0.1], [1.0, 0.9999, 0.2]
        plain, banded = (
            draw_measurements(table(("snr", "snr", "", values), *more)).axes[0]
            for more in ((), [("snr", "snr_standard_error", "", errors)])
        )
        self.assertEqual(banded.get_yscale(), "log")
        self.assertEqual(banded.get_ylim(), plain.get_ylim())
        lowest = banded.collections[0].get_paths()[0].vertices[:, 1].min()
        self.assertAlmostEqual(lowest, plain.get_ylim()[0])

    def test_what_has_no_meaning_leaves_a_gap_and_alone_a_word(self):
        signal, similarity = draw_measurements(
            table(
                ("snr", "snr", "", [1.0, math.nan, math.inf, 2.0]),
                ("gradient_flow_angle", "gradient_flow_angle", "", [math.nan, math.nan]),
            )
        ).axes
        np.testing.assert_array_equal(lines(signal)["snr"], [1.0, math.nan, math.nan, 2.0])
        self.assertEqual([text.get_text() for text in similarity.texts], ["no value has a meaning"])

    def test_of_very_many_the_first_are_drawn_and_the_others_counted(self):
        of_variables = [("later", "norm", f"layer_{k}/kernel", [1.0, 2.0]) for k in range(25)]
        others = [("later", f"quantity_{k}", "", [1.0, 2.0]) for k in range(30)]
        figure = draw_measurements(table(*of_variables, *others))
        self.assertEqual(len(figure.axes), 24)
        self.assertEqual(len(figure.axes[0].lines), 20)
        self.assertEqual(figure.axes[0].get_title(loc="right"), "5 more in measurements.csv")
        self.assertEqual(next(iter(lines(figure.axes[0]))), "layer_0/kernel")
        colours = {line.get_color() for line in figure.axes[0].lines}
        self.assertEqual(len(colours), 20)
        self.assertIn("7 panels more", "".join(text.get_text() for text in figure.texts))

    def test_quantities_that_were_measured_later_join_their_measure(self):
        panels = panels_of(
            curves_of(
                table(
                    ("sharpness", "eigenvalue", "1", [1.0]),
                    ("snr", "snr", "", [1.0]),
                    ("sharpness", "ratio", "", [1.0]),
                )
            )
        )
        self.assertEqual(
            [panel.label for panel in panels], ["Sharpness: eigenvalues", "Sharpness: ratio", "Snr"]
        )

    def test_one_file_of_a_picture(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "measurements.png"
            plot_measurements(table(*SHARPNESS), path, "mlp on digits")
            content = path.read_bytes()
        self.assertTrue(content.startswith(b"\x89PNG"))
        width, height = struct.unpack(">II", content[16:24])
        self.assertGreater(width, height)


if __name__ == "__main__":
    unittest.main()
