"""Lists of transforms on the command line: recorded, resumed with the same bits, refused before anything is written."""

import json
import unittest

import numpy as np

from tests.command import CommandTestCase, command, steps_of
from tf_fullbatch.records.checkpoints import load_latest

GRADIENT = "centralize,noise,adaptive_clip(threshold=0.01),clip,l2(coefficient=1e-3,on=weights)"
UPDATE = "weight_decay(coefficient=1e-2),clip(norm=1.0)"
TINY = (
    "--train_size=60", "--micro_batch_size=40", "--model=mlp", "--width=2", "--quiet", "--noevaluate_test",
    "--schedule_epochs=4", "--clip_norm=0.25", "--additive_noise=1e-3",
)  # fmt: skip
LISTS = (f"--gradient_transforms={GRADIENT}", f"--update_transforms={UPDATE}")


class RunTest(CommandTestCase):
    draws_curves = False

    def test_a_run_in_two_parts_is_the_run_in_one(self) -> None:
        whole, parts = self.folder / "whole", self.folder / "parts"
        for folder, epochs in ((whole, 4), (parts, 2), (parts, 4)):
            self.assert_done(command(*TINY, *LISTS, f"--epochs={epochs}", f"--output_dir={folder}"))
        self.assertEqual(steps_of(whole), steps_of(parts))
        one, other = (load_latest(folder / "checkpoints")[0] for folder in (whole, parts))
        np.testing.assert_equal(one.arrays, other.arrays)
        step = json.loads((whole / "config.json").read_text())["step"]
        self.assertEqual((step["gradient_transforms"], step["update_transforms"]), (GRADIENT, UPDATE))
        ended = command(*TINY, LISTS[0], "--epochs=5", f"--output_dir={whole}")
        self.assert_refused(ended, "update_transforms")

    def test_they_change_the_run(self) -> None:
        ends = []
        for name, lists in (("none", ()), ("first", LISTS[:1]), ("second", LISTS[1:])):
            self.assert_done(command(*TINY, *lists, "--epochs=3", f"--output_dir={self.folder / name}"))
            ends.append(steps_of(self.folder / name)[-1]["loss"])
        self.assertEqual(len(set(ends)), 3, ends)

    def test_a_wrong_list_is_refused(self) -> None:
        output = self.folder / "refused"
        ended = command(*TINY, "--gradient_transforms=adaptive_cut", f"--output_dir={output}")
        self.assert_refused(
            ended,
            "--gradient_transforms=adaptive_cut: there is no such transform; did you mean adaptive_clip",
        )
        self.assertFalse(output.exists())


if __name__ == "__main__":
    unittest.main()
