"""What arms measured along training: read beside other records, drawn, in a table, and for other programs."""

import csv
import dataclasses
import io
import math
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

from tests.report.made_runs import BASE, TRAIN_SIZE, write_measurements, write_run
from tf_fullbatch.analysis.edge import Edge
from tf_fullbatch.records.files import write_text
from tf_fullbatch.records.measured import Kind
from tf_fullbatch.report import measured_plots, style
from tf_fullbatch.report.aggregate import aggregated
from tf_fullbatch.report.arms import Comparison
from tf_fullbatch.report.drawing import Drawing
from tf_fullbatch.report.figure_notes import learning_curve_notes, measured_notes
from tf_fullbatch.report.loading import load
from tf_fullbatch.report.measured import MOST_KINDS, finals_table, measured_csv, shown_kinds
from tf_fullbatch.report.page import write_page
from tf_fullbatch.report.run_results import results
from tf_fullbatch.report.statistics import half_width_factor

MEASURING = BASE.replacing(measure=("sharpness", "noise_scale"), measure_every=2)
FASTER = MEASURING.replacing(learning_rate=0.2)


def figures(ratio: float, noise: float = 10.0) -> dict[tuple[str, str, str], list[float]]:
    """Measured before any step, after 2 and after the last of 4; 1 s and 5 gradient evaluations each."""
    return {
        ("sharpness", "eigenvalue", "1"): [1.0, 2.0, 3.0 * ratio],
        ("sharpness", "residual", "1"): [1e-4, 1e-4, 1e-4],
        ("sharpness", "threshold", ""): [3.0, 3.0, 3.0],
        ("sharpness", "ratio", ""): [0.3, 0.6, ratio],
        ("sharpness", "gradient_evaluations", ""): [4.0, 4.0, 4.0],
        ("sharpness", "seconds", ""): [0.75, 0.75, 0.75],
        ("noise_scale", "noise_scale", ""): [noise, math.nan, 2 * noise],
        ("noise_scale", "gradient_evaluations", ""): [1.0, 1.0, 1.0],
        ("noise_scale", "seconds", ""): [0.25, 0.25, 0.25],
    }


class MeasuredTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def write(self, name: str, settings=MEASURING, ratio: float | None = 0.9, seed: int = 0, **more) -> Path:
        folder = self.folder / name / f"seed-{seed}"
        write_run(folder, settings.replacing(seed=seed), 0.9, seconds_a_step=2.0, **more)
        if ratio is not None:
            write_measurements(folder, figures(ratio), every=2)
        return folder

    def mixed(self) -> Comparison:
        """Two arms that measured, with two seeds and one, and one that did not."""
        self.write("slow", ratio=0.9)
        self.write("slow", ratio=1.1, seed=1)
        self.write("fast", FASTER, ratio=1.5)
        self.write("plain", BASE.replacing(learning_rate=0.4), ratio=None)
        return load([self.folder])

    def test_training_costs_without_measuring_which_stands_apart(self):
        found = self.mixed()
        slow, plain = found.arm("slow"), found.arm("plain")
        # A step is recorded before what is measured after it: of 3 s the last is after the last step.
        self.assertEqual(slow.runs[0].last("wall_seconds"), 4 * 2.0 - 2.0)
        self.assertEqual(list(slow.runs[0].metrics["wall_seconds"]), [1.0, 3.0, 4.0, 6.0])
        self.assertEqual(slow.runs[0].last("spent"), plain.runs[0].last("spent"))
        self.assertEqual(slow.runs[0].measuring_evaluations, 15 * TRAIN_SIZE)
        self.assertIsNone(plain.runs[0].measuring_evaluations)
        table = aggregated(found).set_index("arm")["measuring_gradient_evaluations_mean"]
        self.assertEqual((table["slow"], math.isnan(table["plain"])), (15 * TRAIN_SIZE, True))
        self.assertEqual(
            results(found)["measuring_gradient_evaluations"].dropna().tolist(), [15 * TRAIN_SIZE] * 3
        )
        self.assertIn("measurements and loading of the data not", learning_curve_notes(Drawing(found))[-1])

    def test_a_run_that_lost_its_measurements_is_compared_and_says_so(self):
        lost = self.write("slow")
        (lost / "measurements.csv").unlink()
        damaged = self.write("fast", FASTER)
        write_text(damaged / "measurements.csv", "step,epoch\n1,2\n")
        found = load([self.folder])
        self.assertEqual([len(arm.completed) for arm in found.arms], [1, 1])
        self.assertFalse(found.measured)
        said = "\n".join(found.missing())
        self.assertIn("slow, seed 0: its measurements.csv is missing, though it measured", said)
        self.assertRegex(said, r"fast, seed 0: its measurements are not shown: .*measurements.csv is damaged")

    def test_a_panel_per_kind_with_a_line_per_arm_that_has_it(self):
        found = self.mixed()
        kinds = shown_kinds(found)
        self.assertEqual(
            [str(kind) for kind in kinds],
            ["sharpness eigenvalue 1", "sharpness threshold", "sharpness ratio", "noise scale"],
        )
        drawing = Drawing(found)
        eigenvalue, _, ratio, noise = measured_plots.along_measures(drawing, kinds).axes
        self.assertEqual(len(eigenvalue.lines), 2)
        self.assertEqual(eigenvalue.get_ylabel(), "Sharpness eigenvalue 1")
        self.assertEqual(noise.get_ylabel(), "Noise scale (samples)")
        lines = {tuple(np.round(line.get_ydata(), 6)) for line in ratio.lines}
        self.assertEqual(lines, {(0.3, 0.6, 1.0), (0.3, 0.6, 1.5), (1.0, 1.0)})  # the last: the threshold
        np.testing.assert_array_equal(noise.lines[0].get_xdata(), [0, 4])
        (band,) = ratio.collections
        self.assertAlmostEqual(float(band.get_paths()[0].vertices[:, 1].max()), 1.1)

    def test_a_run_that_measured_before_its_first_step_alone(self):
        folder = self.write("slow", ratio=None, passes=1, outcome=None)
        write_measurements(folder, {("snr", "snr", ""): [2.0]})
        found = load([self.folder])
        (panel,) = measured_plots.along_measures(Drawing(found), shown_kinds(found)).axes
        self.assertEqual([list(line.get_xdata()) for line in panel.lines], [[0.0]])
        self.assertIsNone(measured_csv(found))
        self.assertIsNone(finals_table(found))

    def test_of_many_kinds_the_first_of_each_measure_are_shown_and_the_others_named(self):
        folder = self.write("slow", ratio=None)
        more = {("sharpness", "eigenvalue", str(k)): [1.0, 2.0, 3.0] for k in range(1, 12)}
        norms = {("later", f"norm_{k}", ""): [1.0] * 3 for k in range(9)}
        write_measurements(folder, more | figures(0.9) | norms, every=2)
        found = load([self.folder])
        kinds = shown_kinds(found)
        self.assertEqual(len(kinds), MOST_KINDS)
        for kind in (
            Kind("sharpness", "eigenvalue", "1"),
            Kind("sharpness", "ratio"),
            Kind("noise_scale", "noise_scale"),
            Kind("later", "norm_8"),
        ):
            self.assertIn(kind, kinds)
        self.assertNotIn(Kind("sharpness", "eigenvalue", "11"), kinds)
        eigenvalues = [name for name in finals_table(found).headers if "eigenvalue" in name]
        self.assertEqual(eigenvalues, ["sharpness eigenvalue 1"])
        (left,) = [note for note in measured_notes(Drawing(found), kinds) if note.startswith("Not shown")]
        self.assertIn("sharpness eigenvalue 11", left)
        every = list(csv.DictReader(io.StringIO(measured_csv(found))))
        self.assertIn("11", {line["of"] for line in every})

    def test_the_table_has_means_and_spreads_of_the_last_figures(self):
        found = self.mixed()
        table = finals_table(found)
        lines = {row[0]: dict(zip(table.headers, row, strict=True)) for row in table.rows}
        self.assertEqual(list(lines), ["fast", "slow"])
        self.assertEqual(lines["slow"]["sharpness ratio"], "1.00 ± 0.14")
        self.assertEqual(lines["fast"]["sharpness ratio"], "1.500")
        self.assertEqual(lines["slow"]["noise scale (samples)"], "20.00 ± 0.00")
        self.assertEqual(lines["slow"]["gradient evaluations of measuring"], "960")
        self.assertEqual(lines["slow"]["at the edge of stability"], "not found")

    def test_the_edge_has_the_interval_over_seeds_and_of_one_seed_its_own(self):
        found = self.mixed()
        edge = Edge(
            entry_step=7,
            exit_step=None,
            dwell=3,
            mean_ratio=1.02,
            interval=(0.99, 1.05),
            measurements=9,
            window=200,
        )

        def with_edges(*edges: Edge | None) -> str:
            arm = found.arm("slow")
            runs = [dataclasses.replace(run, edge=one) for run, one in zip(arm.runs, edges, strict=True)]
            arms = (dataclasses.replace(arm, runs=tuple(runs)),)
            table = finals_table(dataclasses.replace(found, arms=arms))
            return table.rows[0][table.headers.index("at the edge of stability")]

        self.assertEqual(with_edges(edge, None), "1.020 (0.990 to 1.050) from step 7, 1 of 2 seeds")
        other = dataclasses.replace(edge, mean_ratio=1.04, entry_step=5)
        half = half_width_factor(2) * 0.02 / math.sqrt(2)
        self.assertEqual(
            with_edges(edge, other), f"1.030 ({1.03 - half:.3f} to {1.03 + half:.3f}) from step 5"
        )

    def test_the_csv_has_everything_of_every_step_over_completed_seeds(self):
        self.write("slow", seed=2, ratio=50.0, passes=3, outcome=None)
        text = measured_csv(self.mixed())
        lines = {
            (line["arm"], line["step"], line["measure"], line["quantity"], line["of"]): line
            for line in csv.DictReader(io.StringIO(text))
        }
        ratio = lines["slow", "4", "sharpness", "ratio", ""]
        self.assertEqual((float(ratio["mean"]), ratio["n"]), (1.0, "2"))
        self.assertAlmostEqual(float(ratio["std"]), 0.2 / math.sqrt(2))
        self.assertEqual(lines["fast", "2", "sharpness", "eigenvalue", "1"]["std"], "")
        self.assertIn(("fast", "0", "sharpness", "residual", "1"), lines)
        self.assertIn(("fast", "0", "sharpness", "seconds", ""), lines)
        self.assertNotIn(("fast", "2", "noise_scale", "noise_scale", ""), lines)  # it has no meaning there

    def test_the_page_has_a_section_where_something_was_measured(self):
        report = self.folder / "report"

        def saved(figure, folder, name):
            write_text(folder / f"{name}.svg", "<svg/>")

        found = self.mixed()
        with mock.patch.object(style, "save", saved):
            paths = write_page(found, report).paths
            self.assertIn(report / "measured.csv", paths)
            for name in ("report.html", "report.md"):
                text = (report / name).read_text().replace("<wbr>", "")
                for expected in ("Measured along training", "1.00 ± 0.14", "Costs are those of training"):
                    self.assertIn(expected, text)
            plain = dataclasses.replace(found, arms=(found.arm("plain"),), pairs=())
            self.assertNotIn(report / "measured.csv", write_page(plain, report).paths)
        self.assertFalse((report / "measured.csv").exists())
        text = (report / "report.html").read_text()
        self.assertNotIn("easured along training", text)


if __name__ == "__main__":
    unittest.main()
