"""Which last losses mean that a run has diverged."""

import math
import unittest
from typing import Any

from tests.rows import table_of
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.divergence import exploded

GUESSING = math.log(10)


def found(first: float = 2.3, training: Any = None, new_weights: bool = True, **lasts: Any) -> str | None:
    """What is said; a number is a loss, a pair (loss, cross-entropy)."""

    def figures(value: Any) -> dict[str, float | None]:
        loss, cross_entropy = value if isinstance(value, tuple) else (value, None)
        return {"loss": loss, "cross_entropy": cross_entropy}

    steps = [{"step": 1, **figures(first)}, {"step": 2, **figures(first if training is None else training)}]
    rows = [
        {
            "step": step,
            "split": split,
            "weights": weights,
            **figures(value if (step, weights) == (2, "raw") else 1e30),
        }
        for split, value in lasts.items()
        for step in (1, 2)
        for weights in ("raw", "ema")
    ]
    verdict = exploded(
        table_of(steps, STEP_COLUMNS), table_of(rows, EVALUATION_COLUMNS), 10, new_weights=new_weights
    )
    return None if verdict is None else verdict.text


class ExplodedTest(unittest.TestCase):
    def test_cross_entropies_are_held_against_guessing(self) -> None:
        self.assertIsNone(found((2.3, 2.3), test=(5e3, 999 * GUESSING), validation=(1.0, 0.5)))
        said = found((2.3, 2.3), test=(3.0, 1001 * GUESSING))
        self.assertEqual(
            said, "the test cross-entropy is 2305 after step 2, more than 1000 times that of guessing (2.3)"
        )
        # Whatever the first step had, and whatever weights it had.
        self.assertIn(
            "validation", found((9e9, 9e9), (0.1, 0.1), False, validation=(9e9, 9e9), test=(0.2, 0.2)) or ""
        )

    def test_other_losses_are_held_against_the_first_step(self) -> None:
        self.assertIsNone(found(4.0, 1e-9, test=3999.0))
        said = found(4.0, 1e-9, test=4001.0)
        self.assertEqual(
            said, "the test loss is 4001 after step 2, more than 1000 times that of the first step (4)"
        )
        for first in (0.0, -3.0):  # nothing to hold them against
            self.assertIsNone(found(first, 1e-9, test=4001.0))

    def test_trained_weights_are_held_against_their_evaluations_before(self) -> None:
        # A pretrained network fits its training samples: 1000 times that means nothing.
        self.assertIsNone(found(1e-9, 1e-9, False, test=1e32))
        said = found(1e-9, 1e-9, False, test=1e34)
        self.assertEqual(
            said, "the test loss is 1e+34 after step 2, more than 1000 times the least before (1e+30)"
        )

    def test_what_is_not_finite_has_exploded_in_any_case(self) -> None:
        for value in (math.nan, math.inf, (math.nan, math.nan), (math.inf, math.inf)):
            for new_weights in (True, False):
                said = found(-1.0, 0.5, new_weights, validation=0.5, test=value)
                self.assertRegex(said or "", r"^the test loss is (nan|inf) after step 2$")

    def test_training_comes_first_and_a_run_without_steps_has_not_diverged(self) -> None:
        self.assertIn("the training loss is 1e+10", found(1.0, 1e10, test=1e10) or "")
        empty = table_of([], STEP_COLUMNS), table_of([], EVALUATION_COLUMNS)
        self.assertIsNone(exploded(*empty, 10, new_weights=True))


if __name__ == "__main__":
    unittest.main()
