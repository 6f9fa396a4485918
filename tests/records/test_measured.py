"""What is read out of measurements.csv: kinds of figures, costs, and the edge of stability."""

import math
import unittest
from typing import Any

import numpy as np
import pandas as pd

from tests.rows import table_of
from tf_fullbatch.records.columns import MEASUREMENT_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.measured import (
    SPENT,
    TOOK,
    Kind,
    cost_of,
    curves_of,
    edge_of,
    measuring_summary,
    tells_edge,
)


def rows(step: int, measure: str, cost: float, *figures: tuple[Any, ...]) -> list[dict[str, Any]]:
    """A measurement: figures are (quantity, value) or (quantity, value, of)."""
    all_figures = [*figures, (SPENT, cost), (TOOK, cost / 10)]
    return [
        {
            "step": step,
            "epoch": float(step),
            "measure": measure,
            "quantity": quantity,
            "of": "".join(of),
            "value": value,
        }
        for quantity, value, *of in all_figures
    ]


def measured(*groups: list[dict[str, Any]]) -> pd.DataFrame:
    return table_of([row for group in groups for row in group], MEASUREMENT_COLUMNS)


def trained(losses: np.ndarray, evaluations: float = 1.0, steps_per_pass: int = 1) -> pd.DataFrame:
    """Steps with these losses before their update."""
    lines = [
        {
            "step": step,
            "epoch": step / steps_per_pass,
            "samples_seen": 64 * step // steps_per_pass,
            "penalised_objective": loss,
            "gradient_evaluations": evaluations,
        }
        for step, loss in enumerate(losses, start=1)
    ]
    return table_of(lines, STEP_COLUMNS)


class CurvesOfTest(unittest.TestCase):
    def test_figures_by_kind_in_the_order_recorded_without_costs(self):
        table = measured(
            rows(0, "sharpness", 20, ("eigenvalue", 3.0, "1"), ("ratio", 0.5)),
            rows(0, "snr", 1, ("snr", 2.0)),
            rows(5, "sharpness", 30, ("eigenvalue", 4.0, "1"), ("eigenvalue", 1.0, "2"), ("ratio", 0.7)),
        )
        curves = curves_of(table)
        self.assertEqual(
            [tuple(kind) for kind in curves],
            [
                ("sharpness", "eigenvalue", "1"),
                ("sharpness", "ratio", ""),
                ("snr", "snr", ""),
                ("sharpness", "eigenvalue", "2"),
            ],
        )
        self.assertEqual(list(curves[Kind("sharpness", "eigenvalue", "1")]["value"]), [3.0, 4.0])
        self.assertEqual(list(curves[Kind("sharpness", "eigenvalue", "2")]["step"]), [5])
        self.assertEqual((cost_of(table, SPENT), cost_of(table, TOOK)), (51.0, 5.1))

    def test_words(self):
        self.assertEqual(str(Kind("sharpness", "eigenvalue", "1")), "sharpness eigenvalue 1")
        self.assertEqual(str(Kind("noise_scale", "noise_scale")), "noise scale")
        self.assertEqual(str(Kind("noise_scale", "noise_scale_of_the_set")), "noise scale of the set")
        self.assertEqual(
            str(Kind("trace", "of_variable", "layer_1/kernel")), "trace of variable layer_1/kernel"
        )


class EdgeOfTest(unittest.TestCase):
    STEPS = 600

    def edge_records(self, last: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Sharpness that reaches its threshold at step 200, and a loss that is up and down from there to `last`."""
        at = np.arange(0, self.STEPS + 1, 10)
        ratio = np.minimum(at / 200, 1.0)
        table = measured(
            *(rows(step, "sharpness", 5, ("ratio", r)) for step, r in zip(at, ratio, strict=True))
        )
        before = np.arange(self.STEPS)
        wave = 0.01 * (-1.0) ** before * ((before >= 200) & (before < last))
        return table, trained(2.0 - before / 1000 + wave)

    def test_from_the_ratio_and_the_loss_of_every_step(self):
        table, metrics = self.edge_records(self.STEPS)
        edge = edge_of(table, metrics)
        self.assertAlmostEqual(edge.mean_ratio, 1.0)
        # The first window whose mean is at least 0.9: [120, 320], of which 80 steps have a mean of 0.8.
        self.assertEqual((edge.entry_step, edge.exit_step, edge.dwell), (220, None, 380))

    def test_never_where_the_loss_only_falls(self):
        table, metrics = self.edge_records(0)
        self.assertIsNone(edge_of(table, metrics))
        self.assertIsNone(measuring_summary(table, metrics)["edge"])

    def test_nothing_can_be_said_of_mini_batches_or_without_a_threshold(self):
        table, metrics = self.edge_records(self.STEPS)
        self.assertTrue(tells_edge(table, metrics))
        mini = trained(np.ones(6), steps_per_pass=3)
        self.assertFalse(tells_edge(table, mini))
        self.assertNotIn("edge", measuring_summary(table, mini))
        self.assertFalse(tells_edge(measured(rows(0, "sharpness", 1, ("eigenvalue", 3.0, "1"))), metrics))


class MeasuringSummaryTest(unittest.TestCase):
    def test_what_was_spent_beside_what_training_took_and_the_last_of_each_first_figure(self):
        table = measured(
            rows(0, "sharpness", 20, ("eigenvalue", 3.0, "1")),
            rows(0, "snr", 1, ("snr", 2.0), ("gsnr", 7.0)),
            rows(2, "sharpness", 30, ("eigenvalue", 4.0, "1"), ("eigenvalue", 1.0, "2")),
            rows(2, "snr", 1, ("snr", math.nan), ("gsnr", 8.0)),
        )
        found = measuring_summary(table, trained(np.ones(2), evaluations=2.0))
        self.assertEqual(found["measurements"], 2)
        self.assertEqual(found["gradient_evaluations"], 52.0)
        self.assertAlmostEqual(found["seconds"], 5.2)
        self.assertEqual(found["training_gradient_evaluations"], 4.0)
        self.assertEqual(
            found["last"]["sharpness"], {"quantity": "eigenvalue", "of": "1", "step": 2, "value": 4.0}
        )
        self.assertTrue(math.isnan(found["last"]["snr"]["value"]))

    def test_nothing_of_a_run_that_measured_nothing(self):
        self.assertIsNone(measuring_summary(measured(), trained(np.ones(2))))


if __name__ == "__main__":
    unittest.main()
