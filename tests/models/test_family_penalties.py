"""Gradient penalties of every family of networks, in float64, beside differences of plain TensorFlow's gradients."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.core.problems import Problem, micro_batches, scalars
from tests.float64 import Float64Case
from tests.models import families
from tests.models.families import TINY, cut, flat, mean_over_samples, plain, samples
from tests.models.test_every_family import COUNTS, MICRO_BATCH, RATE, SAMPLES, model_for, norm
from tf_fullbatch.core.penalties import Penalty

LENGTH = 0.01
"""Of the finite differences' steps."""


class MicroBatchPenalty:
    """A micro-batch of a network, and what penalties make of its gradient with lr = 0.8 and s = 0.5.

    Args:
        name: Of the network.
    """

    def __init__(self, name: str):
        self.network, self.samples = families.built(name), samples(name, MICRO_BATCH)
        inputs = self.samples[0]
        self._problem = Problem(self.network, inputs=tf.TensorSpec([None, *inputs.shape[1:]], inputs.dtype))
        self.own = plain(self.network, *self.samples).gradient
        self.v = 0.5 * self.own

    def product(self, operator: str) -> np.ndarray:
        """`H_b v`, of `g_b + (lr / 4) H_b v`."""
        (batch,) = micro_batches(*self.samples, MICRO_BATCH)
        penalty = Penalty(name=operator, epsilon=LENGTH)
        found = self._problem.gradient(batch, scalars(rate=0.8, strength=0.5), penalty=penalty)
        np.testing.assert_allclose(found.squared_norm, self.own @ self.own, rtol=1e-12)
        return (flat(found.gradient) - self.own) / (0.8 / 4)


class FamilyPenaltiesTest(Float64Case):
    @parameterized.parameters(*TINY)
    def test_products(self, name: str) -> None:
        """Exact ones, and finite differences as their definitions have them."""
        penalty = MicroBatchPenalty(name)
        network, v, own = penalty.network, penalty.v, penalty.own
        exact = families.hessian_product(network, *penalty.samples, v)
        self.assertGreater(norm(exact), 1e-3)
        self.assertLess(norm(penalty.product("nested_tape") - exact), 1e-7 * norm(exact))
        step = LENGTH / norm(v)
        forward = (plain(network, *penalty.samples, step * v).gradient - own) / step
        self.assertLess(norm(penalty.product("forward_differences") - forward), 1e-10 * norm(exact))
        central = families.difference_of_gradients(network, *penalty.samples, v, LENGTH)
        self.assertLess(norm(penalty.product("central_differences") - central), 1e-10 * norm(exact))

    @parameterized.parameters(*TINY)
    @pytest.mark.slow
    def test_forward_over_reverse(self, name: str) -> None:
        penalty = MicroBatchPenalty(name)
        expected = penalty.product("nested_tape")
        self.assertLess(norm(penalty.product("forward_over_reverse") - expected), 1e-11 * norm(expected))

    @parameterized.parameters(*TINY)
    @pytest.mark.slow
    def test_a_step(self, name: str) -> None:
        """The compiled step descends the mean of `g_b + (lr / 4) s H_b g_b`."""
        network, (inputs, labels) = families.built(name), samples(name, SAMPLES)
        parts, weights = cut(inputs, labels, MICRO_BATCH), flat(network.trainable_variables)
        own = [plain(network, *part).gradient for part in parts]
        products = [families.hessian_product(network, *p, g) for p, g in zip(parts, own, strict=True)]
        plainly, expected = mean_over_samples(own, COUNTS), mean_over_samples(products, COUNTS) * RATE / 4
        model = model_for(network, penalty="nested_tape", penalty_strength=1.0)
        model.fit(inputs, labels, epochs=1, verbose=0)
        found = (weights - flat(network.trainable_variables)) / RATE - plainly
        self.assertLess(norm(found - expected), 1e-7 * norm(expected) + 1e-12 * norm(plainly))


if __name__ == "__main__":
    tf.test.main()
