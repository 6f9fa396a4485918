"""Random layers as a training draws: a function of the seed, the same numbers in all passes over a micro-batch."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.layers.case import Case
from tests.layers.cases import CASES
from tests.layers.outcome import step_movement
from tests.layers.reference import Reference

NOISY = [case.name for case in CASES.values() if case.noisy and not case.refused.get("none")]


class RandomLayersTestCase(tf.test.TestCase, parameterized.TestCase):
    def check(self, case: Case) -> None:
        weights = Reference(case).weights
        policy = "float32" if "float64" in case.impossible else "float64"
        # float32 needs a longer step, and the difference is then further from the exact product.
        epsilon, tolerance, rounding = (1e-2, 0.1, 1e-5) if policy == "float32" else (1e-6, 1e-4, 1e-9)

        def step(penalty: str, **arguments: Any) -> np.ndarray:
            return step_movement(case, weights, penalty, policy, fixed_noise=False, **arguments)

        plain, exact = step("none"), step("nested_tape")
        self.assertAllEqual(plain, step("none"))
        self.assertNotAllClose(plain, step("none", seed=1), rtol=1e-6, atol=1e-6)
        # With other draws at the moved weights, the difference would be off by about |g| / epsilon.
        close = step("forward_differences", epsilon=epsilon)
        self.assertLess(np.linalg.norm(close - exact) / np.linalg.norm(exact), tolerance)
        if "forward_over_reverse" not in case.refused:
            self.assertAllClose(step("forward_over_reverse"), exact, rtol=rounding, atol=rounding)


class CoreTest(RandomLayersTestCase):
    def test_dropout(self) -> None:
        self.check(CASES["Dropout"])


@pytest.mark.slow
class AllTest(RandomLayersTestCase):
    @parameterized.parameters(*NOISY)
    def test_draws(self, name: str) -> None:
        self.check(CASES[name])


if __name__ == "__main__":
    tf.test.main()
