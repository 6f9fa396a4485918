"""Batch sharpness: the curvature of micro-batches' losses along their own gradients, exact over the partition."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis import jackknife
from tf_fullbatch.core import penalties, trees
from tf_fullbatch.core.micro_batch import Evaluated, MicroBatch, MicroBatchLoss, StepScalars
from tf_fullbatch.core.objective import PRODUCT_EVALUATIONS, Objective
from tf_fullbatch.core.passes import Contribution
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.core.weighted_means import samples_of


class BatchSharpness(NamedTuple):
    """Curvature along gradients; nan where all gradients are zero.

    Attributes:
        of_batches: `E_b[g_b . H_b g_b / |g_b|^2]`, what settles at 2 / lr under SGD of such batches.
        of_batches_standard_error: Jackknife's, over micro-batches; nan of one.
        ratio: `E_b[g_b . H_b g_b] / E_b[|g_b|^2]`.
        ratio_standard_error: Jackknife's; nan of one.
        of_the_set: `g . H g / |g|^2` of the whole update batch.
    """

    of_batches: float
    of_batches_standard_error: float
    ratio: float
    ratio_standard_error: float
    of_the_set: float


def batch_sharpness(
    objective: Objective,
    theta: Sequence[tf.Tensor] | None = None,
    *,
    gradient: Sequence[tf.Tensor] | None = None,
) -> BatchSharpness:
    """Batch sharpness of an update batch, with every one of its micro-batches once: nothing is drawn.

    `g_b` and `H_b` are a micro-batch's own; `E_b` is the mean over them, weighted by what they count for (their
    samples), so that a ragged last one counts for less. Micro-batches without a gradient are left out of it. They are
    of the loss as training takes it: with batch normalisation of the micro-batch's own statistics.

    It costs two gradient evaluations per sample for the micro-batches and two for the whole set, and one more where the
    gradient is not given.

    Args:
        objective: Of the update batch.
        theta: Tree, one array or tensor per trainable variable; None for the present weights.
        gradient: Tree, `objective.value_and_gradient(theta).gradient`, where it is there already.

    Raises:
        UserError: theta does not fit, or the network has no exact products.

    Source: Andreyev and Beneventano 2024 (arXiv 2412.20553), which estimates it from random batches.
    """
    g = objective.value_and_gradient(theta).gradient if gradient is None else list(gradient)
    whole = trees.dot(g, objective.hvp(theta, g)) / trees.squared_norm(g)
    means = objective.measure(_CurvatureKernel, theta, evaluations=PRODUCT_EVALUATIONS)
    curved, squares, weights = np.asarray(means.each, np.float64).T
    moving = squares > 0
    curved, squares, weights = curved[moving], squares[moving], weights[moving]
    if not len(weights):
        return BatchSharpness(*[np.nan] * 5)
    sharpness = curved / squares
    mean = float(np.average(sharpness, weights=weights))
    ratio = float(weights @ curved / (weights @ squares))
    if len(weights) < 2:
        return BatchSharpness(mean, np.nan, ratio, np.nan, float(whole))
    mean_error = jackknife.standard_error(jackknife.means_without_each(sharpness, weights))
    ratio_error = jackknife.standard_error(jackknife.means_without_each(curved / squares, weights * squares))
    return BatchSharpness(mean, mean_error, ratio, ratio_error, float(whole))


class _CurvatureKernel:
    """Of each micro-batch `g_b . H_b g_b`, `|g_b|^2` and what it counts for."""

    def __init__(self, loss: MicroBatchLoss):
        self._loss = loss

    def like(self) -> tuple[tuple, tuple, list[tf.TensorSpec]]:
        """See `passes.Kernel`."""
        return (), (), [tf.TensorSpec([])] * 3

    def __call__(self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars) -> Contribution:
        """See `passes.Kernel`."""
        batch = self._loss.prepared(batch, scalars)

        def loss_function(at: Sequence[tf.Tensor]) -> tuple[tf.Tensor, Evaluated]:
            return self._loss.value(at, state, batch, scalars, derivatives=2)

        point = penalties.nested_tape(loss_function, theta, lambda gradient: gradient, 0.0)
        assert point.product is not None
        curved, square = trees.dot(point.gradient, point.product), trees.squared_norm(point.gradient)
        weight = point.auxiliary.of_outputs.weight
        return Contribution((), (), [curved, square, weight], weight, samples_of(batch.sample_ids))
