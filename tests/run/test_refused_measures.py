"""Measures on the command line: what is refused is refused before anything is written."""

import unittest

from tests.command import CommandTestCase, contents, tiny

LINEAR = ("--model=linear", "--epochs=1")


class RefusedTest(CommandTestCase):
    draws_curves = False

    def test_before_anything_is_written(self) -> None:
        cases = {
            "the set is 1 micro-batch": ("--measure=noise_scale", "--micro_batch_size=200"),
            "--measure=momentum_similarity: the method keeps no momentum: set --momentum": (
                "--measure=sharpness,momentum_similarity",
                "--momentum=0",
            ),
        }
        for words, arguments in cases.items():
            for more in ((), ("--dry_run",)):
                self.assert_refused(tiny(self.folder / "run", *LINEAR, *arguments, *more), words)
                self.assertEqual(contents(self.folder), {})


if __name__ == "__main__":
    unittest.main()
