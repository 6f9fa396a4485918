"""Gradient-noise interaction: the whole loss's curvature along micro-batches' gradients, by random signs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.differences import DifferenceKernel
from tf_fullbatch.analysis.partition import micro_batch_sizes
from tf_fullbatch.core import trees
from tf_fullbatch.core.micro_batch import MicroBatch, StepScalars
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.passes import Contribution
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError


class NoiseInteraction(NamedTuple):
    """Curvature of the whole loss along micro-batches' gradients.

    Attributes:
        value: `E_b[g_b . H g_b] / |g|^2`.
        standard_error: Of the random signs alone; nan of one probe.
    """

    value: float
    standard_error: float


def gradient_noise_interaction(
    objective: Objective,
    theta: Sequence[tf.Tensor] | None = None,
    *,
    gradient: Sequence[tf.Tensor] | None = None,
    probes: int = 8,
    seed: int = 0,
) -> NoiseInteraction:
    """Gradient-noise interaction `E_b[g_b . H g_b] / |g|^2`, H the Hessian of the whole update batch.

    Each micro-batch would need a product over the whole set. With `d_b = g_b - g` and weights `w_b` the mean is

        E_b[g_b . H g_b] = g . H g + E_b[d_b . H d_b],

    and with signs `s_b = +-1`, drawn evenly, `z = sum_b sqrt(w_b) s_b d_b` has `E[z . H z] = E_b[d_b . H d_b]`: a
    probe is a pass for z and one product, whatever the number of micro-batches. `g . H g` is exact.

    It costs 2 + 3 `probes` gradient evaluations per sample, and one more where the gradient is not given.

    Args:
        objective: Of the update batch.
        theta: Tree, one array or tensor per trainable variable; None for the present weights.
        gradient: Tree, `objective.value_and_gradient(theta).gradient`, where it is there already.
        probes: Draws of signs.
        seed: Seed of the signs.

    Raises:
        UserError: There is one micro-batch, no probe, theta does not fit, or the network has no exact products.

    Source: the quantity in Andreyev and Beneventano 2024 (arXiv 2412.20553); the signs as in Hutchinson 1990.
    """
    if probes < 1:
        raise UserError(f"probes={probes}: give at least 1.")
    count = len(micro_batch_sizes(objective))
    at = objective.theta() if theta is None else theta
    g = objective.value_and_gradient(at).gradient if gradient is None else list(gradient)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(probes, count))
    noise = np.array([curvature_of_noise(objective, at, g, row) for row in signs])
    square = float(trees.squared_norm(g))
    if not square > 0:
        return NoiseInteraction(np.nan, np.nan)
    value = (float(trees.dot(g, objective.hvp(at, g))) + noise.mean()) / square
    error = noise.std(ddof=1) / np.sqrt(probes) / square if probes > 1 else np.nan
    return NoiseInteraction(float(value), float(error))


def curvature_of_noise(
    objective: Objective, theta: Sequence[tf.Tensor], gradient: Tree, signs: np.ndarray
) -> float:
    """`z . H z` with `z = sum_b sqrt(w_b) s_b (g_b - g)`; three gradient evaluations per sample.

    Args:
        objective: Of the update batch.
        theta: Tree, one array or tensor per trainable variable.
        gradient: Tree, g.
        signs: `[micro-batches]`, `s_b`.
    """
    means = objective.measure(_SignedKernel, theta, gradient, tf.constant(signs), evaluations=1)
    total = float(np.sum(np.asarray(means.each, np.float64)))
    z = trees.scale(np.sqrt(total), means.weighted)
    return float(trees.dot(z, objective.hvp(theta, z)))


class _SignedKernel(DifferenceKernel):
    """`s_b (g_b - g) / sqrt(w_b)`, whose mean is z over the root of the sum of what micro-batches count for."""

    def like(self) -> tuple[list[tf.TensorSpec], tuple, tf.TensorSpec]:
        """See `passes.Kernel`; of each micro-batch what it counts for."""
        return [tf.TensorSpec(v.shape) for v in self._loss.call.weights], (), tf.TensorSpec([])

    def __call__(
        self,
        theta: Tree,
        state: Tree,
        batch: MicroBatch,
        scalars: StepScalars,
        gradient: Tree,
        signs: tf.Tensor,
    ) -> Contribution:
        """See `passes.Kernel`; `gradient` is the update batch's, `signs` are `[micro-batches]`."""
        difference, weight, samples = self.difference(theta, state, batch, scalars, gradient)
        scale = tf.math.divide_no_nan(signs[batch.index], tf.sqrt(tf.cast(weight, signs.dtype)))
        return Contribution(trees.scale(scale, difference), (), weight, weight, samples)
