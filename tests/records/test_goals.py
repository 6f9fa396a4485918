"""What of a pass goals are about: weighted means, passes without an error, and what a checkpoint keeps of them."""

import json
import unittest

import numpy as np

from tf_fullbatch.records.goals import PassFigures, Reached


def step(
    loss: float,
    samples: int = 10,
    accuracy: float | None = 1.0,
    gradient_norm: float = 1.0,
    gradient_evaluations: float = 1.0,
) -> dict:
    found = {
        "loss": loss,
        "gradient_norm": gradient_norm,
        "gradient_evaluations": gradient_evaluations,
        "samples": samples,
    }
    return found if accuracy is None else found | {"accuracy": accuracy}


def after(*passes: list[dict]) -> PassFigures:
    figures = PassFigures()
    for steps in passes:
        figures.add(steps)
        figures.end_pass()
    return figures


class PassFiguresTest(unittest.TestCase):
    def test_means_are_weighted_by_samples(self) -> None:
        figures = after([step(9.0)], [step(1.0, 30, gradient_norm=5.0), step(2.0, 10, gradient_norm=1.0)])
        self.assertIsNone(figures.reached({"stop_at_loss": 1.2499}, 3, 2))
        self.assertEqual(
            Reached("stop_at_loss", 1.25, 1.25, 3, 2), figures.reached({"stop_at_loss": 1.25}, 3, 2)
        )
        self.assertEqual(4.0, figures.reached({"stop_at_gradient_norm": 4.5}, 3, 2).value)

    def test_passes_are_perfect_in_a_row(self) -> None:
        wrong = step(1.0, accuracy=0.9)
        goal = {"stop_after_perfect": 2}
        self.assertIsNone(after([step(1.0)], [wrong], [step(1.0)]).reached(goal, 3, 3))
        self.assertIsNone(after([step(1.0)], [wrong, step(1.0)], [step(1.0)]).reached(goal, 3, 3))
        self.assertEqual(2.0, after([wrong], [step(1.0)], [step(1.0)]).reached(goal, 3, 3).value)
        self.assertIsNone(after([step(1.0, accuracy=None)] * 2).reached({"stop_after_perfect": 1}, 1, 1))

    def test_evaluations_are_those_of_all_passes(self) -> None:
        first, second = (
            [step(1.0, 30, gradient_evaluations=2.0), step(1.0, 10)],
            [step(1.0, gradient_evaluations=3.5)],
        )
        goal = {"stop_after_evaluations": 5.25}
        self.assertIsNone(after(first, [step(1.0, gradient_evaluations=3.49)]).reached(goal, 3, 2))
        self.assertEqual(
            Reached("stop_after_evaluations", 5.25, 5.25, 3, 2), after(first, second).reached(goal, 3, 2)
        )

    def test_of_several_the_first_is_named(self) -> None:
        both = {"stop_at_loss": 2.0, "stop_after_perfect": 1}
        self.assertEqual("stop_at_loss", after([step(1.0)]).reached(both, 1, 1).name)
        self.assertEqual("stop_after_perfect", after([step(3.0)]).reached(both, 1, 1).name)
        self.assertIsNone(PassFigures().reached(both, 0, 0))

    def test_a_checkpoint_within_a_pass_changes_no_bit(self) -> None:
        losses = np.random.default_rng(0).normal(size=40)
        steps = [step(loss, samples=7) for loss in losses]
        whole = after(steps)
        parts = PassFigures()
        for first in (0, 13, 14):
            parts.add(steps[first : {0: 13, 13: 14, 14: 40}[first]])
            parts = PassFigures(json.loads(json.dumps(parts.state())))
        parts.end_pass()
        self.assertEqual(whole.state(), parts.state())
        value = parts.reached({"stop_at_loss": 99.0}, 40, 1).value
        self.assertAlmostEqual(losses.mean(), value, delta=1e-14)

    def test_words(self) -> None:
        for reached, said in (
            (
                Reached("stop_at_loss", 0.1, 0.0987, 7, 7),
                "stop_at_loss=0.1: a training loss of 0.0987 in pass 7",
            ),
            (
                Reached("stop_after_perfect", 3, 3.0, 14, 7),
                "a training accuracy of 100 % in the 3 passes up to 7",
            ),
            (
                Reached("stop_after_evaluations", 200, 201.5, 7, 7),
                "201.5 gradient evaluations per sample by pass 7",
            ),
            (Reached("stop_at_gradient_norm", 1e-6, 0.0, 7, 7), "a gradient norm of 0 in pass 7 (step 7)"),
        ):
            self.assertIn(said, reached.text)


if __name__ == "__main__":
    unittest.main()
