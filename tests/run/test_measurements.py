"""`--measure` on the command line: what is written, resumed and refused."""

import math
import signal
from pathlib import Path
from unittest import mock

import numpy as np

from tests.command import CommandTestCase, measurements_of, scalars, steps_of, tiny
from tf_fullbatch.analysis.settings import MeasureConfig
from tf_fullbatch.core.full_pass import FullPass
from tf_fullbatch.errors import Outcome
from tf_fullbatch.records.checkpoints import load_latest

MEASURED = (
    "--model=mlp", "--activation=softplus", "--width=8", "--measure=sharpness,noise_scale", "--measure_every=2",
    "--measure_options=sharpness.k=2,sharpness.smallest=1", "--checkpoint_every=1", "--evaluate_every=3",
    "--clip_norm=0.5",
)  # fmt: skip


def steps(folder: Path, measure: str = "sharpness") -> list[int]:
    rows = measurements_of(folder)
    return list(dict.fromkeys(row["step"] for row in rows if row["measure"] == measure))


class MeasurementsTest(CommandTestCase):
    draws_curves = False

    def test_a_run_in_parts_is_the_run_in_one(self) -> None:
        whole, parts = self.folder / "whole", self.folder / "parts"
        self.assert_done(tiny(whole, *MEASURED, "--epochs=6", "--schedule_epochs=6"))
        self.assert_done(tiny(parts, *MEASURED, "--epochs=4", "--schedule_epochs=6"))
        self.assert_done(tiny(parts, *MEASURED, "--epochs=6", "--schedule_epochs=6"))
        self.assertEqual(steps(whole), [0, 2, 4, 6])
        rows, resumed = measurements_of(whole), measurements_of(parts)
        # At its end the shorter run had no next step: its last rate, and not the next one, makes the threshold.
        rate = ("threshold", "ratio")
        for one, other in zip(rows, resumed, strict=True):
            if one["step"] != 4 or one["quantity"] not in rate:
                self.assertEqual(one, other)
        one, other = (load_latest(folder / "checkpoints")[0] for folder in (whole, parts))
        np.testing.assert_equal(one.arrays, other.arrays)
        self.assertEqual(one.arrays["measures/sharpness/largest"].shape[1], 2)
        self.assertEqual(steps_of(whole), steps_of(parts))
        charts = [scalars(folder / "summaries" / "train") for folder in (whole, parts)]
        tag = "sharpness/eigenvalue/1"
        self.assertEqual([step for step, _ in charts[0][tag]], [0, 2, 4, 6])
        self.assertEqual(charts[0][tag], charts[1][tag])
        self.assertNotIn("sharpness/seconds", charts[0])

    def test_stopped_within_a_measurement(self) -> None:
        whole, stopped = self.folder / "whole", self.folder / "stopped"
        self.assert_done(tiny(whole, *MEASURED, "--epochs=4"))
        original, count = FullPass.run, 0

        def run(full_pass: FullPass, *arguments, **options):
            nonlocal count
            count += 1
            if count == 12:  # of the second measurement
                signal.raise_signal(signal.SIGTERM)
            return original(full_pass, *arguments, **options)

        with mock.patch.object(FullPass, "run", run):
            ended = tiny(stopped, *MEASURED, "--epochs=4", "--evaluate_every=4", "--data_on_device=off")
        self.assertEqual(ended.code, Outcome.INTERRUPTED.exit_code, ended.err)
        self.assertLess(len(steps(stopped)), len(steps(whole)))
        self.assert_done(tiny(stopped, *MEASURED, "--epochs=4"))
        self.assertEqual(measurements_of(whole), measurements_of(stopped))

    def test_training_is_the_same_without(self) -> None:
        measured, plain = self.folder / "measured", self.folder / "plain"
        self.assert_done(tiny(measured, *MEASURED, "--epochs=3"))
        rest = [flag for flag in MEASURED if not flag.startswith("--measure")]
        self.assert_done(tiny(plain, *rest, "--epochs=3"))
        self.assertEqual(steps_of(measured), steps_of(plain))
        self.assertFalse((plain / "measurements.csv").exists())

    def test_other_measures_may_be_asked_for_on_the_way(self) -> None:
        folder = self.folder / "run"
        plain = ("--model=mlp", "--width=8", "--schedule_epochs=6", "--checkpoint_every=1")
        self.assert_done(tiny(folder, *plain, "--epochs=2"))
        self.assert_done(tiny(folder, *plain, "--epochs=4", "--measure=noise_scale", "--measure_every=2"))
        self.assertEqual(steps(folder, "noise_scale"), [2, 4])
        more = ("--measure=noise_scale,snr", "--measure_every=3")
        self.assert_done(tiny(folder, *plain, "--epochs=6", *more))
        self.assertEqual(steps(folder, "noise_scale"), [2, 4, 6])
        self.assertEqual(steps(folder, "snr"), [6])
        self.assertTrue(all(not math.isnan(float(row["value"])) for row in measurements_of(folder)))

    def test_options_are_written_as_flags_or_as_python_has_them(self) -> None:
        for text in ("false", "False"):
            asked = MeasureConfig(measure=("sharpness",), measure_options=f"sharpness.grow={text}")
            self.assertIs(asked.chosen()["sharpness"].grow, False)

    def test_refused(self) -> None:
        folder = self.folder / "refused"
        for flags, words in (
            (("--measure=sharpnes",), "there is no such measure; did you mean sharpness"),
            (("--measure=trace,trace",), "comes twice"),
            (("--measure_every=5",), "no effect without --measure"),
            (("--measure=sharpness", "--measure_options=sharpness.j=3"), "no option 'j'; it has k"),
            (("--measure=sharpness", "--measure_options=trace.products=3"), "of one of sharpness"),
            (("--measure=sharpness", "--measure_options=sharpness.k=0"), "k=0: must be at least 1"),
            (
                ("--measure=sharpness", "--measure_statistics=moving"),
                "accepted are batch, frozen, recalibrated",
            ),
        ):
            with self.subTest(flags=flags):
                self.assert_refused(tiny(folder, *flags), words)
                self.assertFalse(folder.exists())


if __name__ == "__main__":
    import unittest

    unittest.main()
