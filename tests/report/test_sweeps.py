"""Sweeps: which arms are one, over which settings, and what is drawn of it."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

from tests.report.made_runs import config, finished_study, write_run
from tf_fullbatch.records.trials_file import TrialRow, write_trials
from tf_fullbatch.report import figure_notes, sweep_plots, wording
from tf_fullbatch.report.loading import load
from tf_fullbatch.report.sweeps import ordered, sweeps_of, swept_settings
from tf_fullbatch.studies import definition

ROOT = Path(__file__).parents[2]


class SettingsTest(unittest.TestCase):
    def test_the_penalty_sweep_is_two_way_by_its_arms(self):
        flagfile = ROOT / "flags/studies/penalty_sweep.flags"
        parsed = definition.parse(["study", f"--flagfile={flagfile}"])
        assert parsed is not None
        self.assertEqual(
            swept_settings([arm.config for arm in parsed[1].arms]), ("micro_batch_size", "penalty_strength")
        )

    def test_one_way_two_way_and_none(self):
        rates, sizes = (0.1, 0.2, 0.4), (8, 16)
        line = [config(learning_rate=rate) for rate in rates]
        grid = [config(learning_rate=rate, micro_batch_size=size) for rate in rates for size in sizes]
        lengths = [config(learning_rate=r, epochs=e, warmup_epochs=e / 4) for r in rates for e in (4, 8)]
        diagonal = [config(learning_rate=rate, momentum=0.9 - rate) for rate in rates]
        for configs, settings in (
            (line, ("learning_rate",)),
            (line[:2], ()),
            (grid, ("micro_batch_size", "learning_rate")),
            (grid[:-1], ()),  # one value of a pair stands alone
            (diagonal, ()),
            (line[:1], ()),
            ([config(schedule="constant"), config(schedule="cosine"), config()], ()),
        ):
            self.assertEqual(set(swept_settings(configs)), set(settings))
        self.assertIn("learning_rate", swept_settings(lengths))
        self.assertEqual(len(swept_settings(lengths)), 2)

    def test_numbers_first_and_nothing_last(self):
        self.assertEqual(ordered({None, 0.5, 2, "b", "a"}), (0.5, 2, "a", "b", None))


class PlotTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_a_heat_map_has_a_number_in_each_cell(self):
        for k, rate in enumerate((0.1, 0.2, 0.4)):
            for size in (8, 16):
                write_run(
                    self.folder / f"r{rate}_{size}",
                    config(learning_rate=rate, micro_batch_size=size),
                    0.5 + size / 100 + k / 10,
                )
        (sweep,) = sweeps_of(load([self.folder]))
        panel, bar = sweep_plots.sweep_plot(sweep).axes
        self.assertEqual((panel.get_xlabel(), panel.get_ylabel()), ("learning_rate", "micro_batch_size"))
        self.assertEqual(bar.get_ylabel(), "Test accuracy (%)")
        np.testing.assert_allclose(panel.images[0].get_array(), [[58, 68, 78], [66, 76, 86]])
        self.assertEqual(
            [text.get_text() for text in panel.texts], ["58.00", "68.00", "78.00", "66.00", "76.00", "86.00"]
        )
        self.assertIn("nothing is chosen by it", " ".join(figure_notes.sweep_notes(sweep)))

    def test_a_line_with_a_point_per_value(self):
        for rate, accuracy in ((0.4, 0.7), (0.1, 0.9), (0.2, 0.8)):
            write_run(self.folder / f"r{rate}", config(learning_rate=rate), accuracy)
        (sweep,) = sweeps_of(load([self.folder]))
        (panel,) = sweep_plots.sweep_plot(sweep).axes
        np.testing.assert_allclose(panel.lines[0].get_xydata(), [[0.1, 90], [0.2, 80], [0.4, 70]])

    def test_a_loss_far_beyond_the_others_does_not_stretch_the_colours(self):
        for k, rate in enumerate((0.1, 0.2, 0.4)):
            for size in (8, 16):
                loss = 1e9 if k == 2 and size == 16 else 0.1 * (k + 1)
                settings = config(learning_rate=rate, micro_batch_size=size)
                write_run(self.folder / f"r{rate}_{size}", settings, None, losses=[loss])
        (sweep,) = sweeps_of(load([self.folder]))
        image = sweep_plots.sweep_plot(sweep).axes[0].images[0]
        np.testing.assert_allclose(image.get_clim(), [0.1, 0.3])

    def test_trials_of_an_arm_with_what_was_chosen(self):
        finished_study(self.folder, seeds=(0,))
        rows = [
            TrialRow(
                arm="fb", settings={"learning_rate": rate, "clip_norm": clip}, seed=7, choose_by="validation_accuracy",
                figure=0.5 + float(rate), status="completed" if clip == "1" else "diverged",
                chosen=(rate, clip) == ("0.2", "1"), folder="f",
            )
            for rate in ("0.1", "0.2")
            for clip in ("none", "1")
        ]  # fmt: skip
        write_trials(self.folder, rows)
        (sweep,) = sweeps_of(load([self.folder]))
        self.assertEqual((sweep.arm, sweep.label), ("fb", "Validation accuracy (%)"))
        self.assertEqual(sweep.chosen, ((0.2, "1"),))
        panel = sweep_plots.sweep_plot(sweep).axes[0]
        self.assertCountEqual([text.get_text() for text in panel.texts], ["60.00", "70.00", "-", "-"])
        notes = " ".join(figure_notes.sweep_notes(sweep))
        self.assertIn("chosen by these figures of the validation samples", notes)
        self.assertIn("Where there is no number, no run is completed", notes)
        self.assertIn("Each cell is a setting that fb was tried with, of one seed.", notes)
        said = " ".join(wording.results_notes(load([self.folder])))
        self.assertIn(
            "fb: learning_rate=0.2 was chosen, the largest tried: better ones may lie beyond.", said
        )
