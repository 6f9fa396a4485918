"""What a run leaves of its measurements: picture, summary, the opened run, and that a finished run is whole."""

import math
import re
from unittest import mock

from tests.command import CommandTestCase, contents, steps_of, summary_of, tiny
from tf_fullbatch import open_run
from tf_fullbatch.analysis.measures.base import Figure
from tf_fullbatch.analysis.measures.momentum_similarity import MomentumSimilarity

RUN = ("--model=linear", "--epochs=3", "--evaluate_every=3")
MEASURE = ("--measure=noise_scale,sharpness", "--measure_every=2")


class MeasuredTest(CommandTestCase):
    draws_curves = False

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.made = cls.shared / "run"
        cls.ended = tiny(cls.made, *RUN, *MEASURE)

    def test_the_end_says_what_was_measured_and_what_it_took(self):
        out = self.assert_done(self.ended).out
        self.assertRegex(out, r"\nmeasured last +noise scale [\d.]+, sharpness eigenvalue 1 [\d.]+\n")
        self.assertRegex(
            out, r"\nmeasuring +3 times: \d+\.\d gradient evaluations per sample \(training: 3\.00\), "
        )
        self.assertRegex(out, r"\nedge of stability +not found\n")
        found = summary_of(self.made)["measuring"]
        table = open_run(self.made).measurements
        costs = table["value"][table["quantity"] == "gradient_evaluations"]
        self.assertAlmostEqual(found["gradient_evaluations"], costs.sum())
        self.assertEqual((found["measurements"], found["edge"]), (3, None))
        last = table[(table["quantity"] == "eigenvalue") & (table["of"] == "1")].iloc[-1]
        self.assertEqual(found["last"]["sharpness"]["value"], last["value"])
        self.assertEqual(last["step"], 3)

    def test_training_costs_what_it_costs_without(self):
        plain = self.folder / "plain"
        self.assert_done(tiny(plain, *RUN))
        self.assertEqual(steps_of(plain), steps_of(self.made))
        self.assertNotIn("measuring", summary_of(plain))
        self.assertFalse((plain / "measurements.png").exists())
        table = open_run(plain).measurements
        self.assertEqual(list(table), ["step", "epoch", "measure", "quantity", "of", "value"])
        self.assertEqual(len(table), 0)

    def test_the_picture_is_there_and_made_again(self):
        picture = self.made / "measurements.png"
        self.assertTrue(picture.read_bytes().startswith(b"\x89PNG"))
        before = contents(self.made)
        said = self.assert_done(tiny(self.made, *RUN, *MEASURE)).err
        self.assertIn("nothing to do", said)
        self.assertNotIn("not measured", said)
        more = ("--measure=noise_scale,sharpness,trace", "--measure_every=2")
        said = self.assert_done(tiny(self.made, *RUN, *more)).err
        self.assertIn("note: not measured: trace;", said)
        self.assertEqual(contents(self.made), before)
        picture.unlink()
        self.assert_done(tiny(self.made, *RUN, *MEASURE))
        self.assertEqual((self.made / "measurements.csv").read_bytes(), before["measurements.csv"])
        self.assertTrue(picture.read_bytes().startswith(b"\x89PNG"))

    def test_a_finished_run_without_its_measurements_is_refused(self):
        table = self.made / "measurements.csv"
        whole = table.read_text()
        self.addCleanup(table.write_text, whole)
        lines = whole.splitlines(keepends=True)
        for content, said in (
            (None, "a finished run without its measurements.csv"),
            ("".join(line for line in lines if not line.startswith("3,")), "measurements.csv does not end"),
        ):
            table.unlink() if content is None else table.write_text(content)
            self.assert_refused(tiny(self.made, *RUN, *MEASURE), said, "Restore it")

    def test_the_plan_says_how_often(self):
        cases = (("2", (), 3), ("3", (), 2), ("50", (), 2), ("2", ("--extend_epochs=2",), 5))
        for every, more, times in cases:
            with self.subTest(every=every, more=more):
                given = (*RUN, "--measure=snr", f"--measure_every={every}", *more, "--dry_run")
                planned = self.assert_done(tiny(self.folder / "none", *given)).out
                (said,) = re.findall(r"\nmeasuring +(.*)", planned)
                self.assertTrue(said.startswith(f"{times} times (snr; every {every} steps, "), said)
        self.assertNotIn("measuring", self.assert_done(tiny(self.folder / "none", *RUN, "--dry_run")).out)

    def test_a_run_that_measured_what_has_no_meaning_says_nan(self):
        run = self.folder / "run"
        given = ("--measure=momentum_similarity", "--measure_every=3")
        nothing = [Figure("momentum_similarity", math.nan)]
        with mock.patch.object(MomentumSimilarity, "figures", return_value=nothing):
            out = self.assert_done(tiny(run, *RUN, *given)).out
        self.assertRegex(out, r"measured last +momentum similarity nan\n")
        self.assertTrue(
            math.isnan(float(summary_of(run)["measuring"]["last"]["momentum_similarity"]["value"]))
        )
        self.assertTrue((run / "measurements.png").exists())
