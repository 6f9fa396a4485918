"""Exact curvature of a micro-batch's loss along a direction: the Hessian and the generalised Gauss-Newton matrix."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_fullbatch.core import penalties, trees
from tf_fullbatch.core.micro_batch import (
    Evaluated,
    MicroBatch,
    MicroBatchLoss,
    StepScalars,
    added_losses,
    as_full_precision,
)
from tf_fullbatch.core.trees import Tree

CurvatureProduct = Callable[..., tuple[Tree, tf.Tensor]]
"""Maps (loss, theta, state, batch, scalars, directions ...) to (the product, a tree; the micro-batch's weight)."""


def hessian_product(
    loss: MicroBatchLoss, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, direction: Tree
) -> tuple[Tree, tf.Tensor]:
    """`H_b v` by nested tapes (Pearlmutter 1994)."""
    return _product(_loss_function(loss, state, batch, scalars), theta, direction)


def penalised_hessian_product(
    loss: MicroBatchLoss, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, direction: Tree
) -> tuple[Tree, tf.Tensor]:
    """The product of the Hessian of `L_b + (lr s / 8) |g_b|^2`, the penalised loss, by tapes three deep."""
    plain = _loss_function(loss, state, batch, scalars)

    def penalised(parameters: Sequence[tf.Tensor]) -> tuple[tf.Tensor, Evaluated]:
        point = penalties.value_and_gradient(plain, parameters)
        added = penalties.penalty_value(scalars, trees.squared_norm(point.gradient), None)
        return point.loss + tf.cast(added, point.loss.dtype), point.auxiliary

    return _product(penalised, theta, direction)


def hessian_derivative(
    loss: MicroBatchLoss,
    theta: Tree,
    state: Tree,
    batch: MicroBatch,
    scalars: StepScalars,
    left: Tree,
    right: Tree,
) -> tuple[Tree, tf.Tensor]:
    """The gradient of `u^T H_b v` in the parameters, by tapes three deep; u and v may change places."""
    plain = _loss_function(loss, state, batch, scalars)

    def slope(parameters: Sequence[tf.Tensor]) -> tuple[tf.Tensor, Evaluated]:
        point = penalties.value_and_gradient(plain, parameters)
        return trees.dot(point.gradient, right), point.auxiliary

    return _product(slope, theta, left)


def _loss_function(
    loss: MicroBatchLoss, state: Tree, batch: MicroBatch, scalars: StepScalars
) -> penalties.LossFunction:
    """The micro-batch's loss as a function of the parameters, right in derivatives of every order."""
    return lambda parameters: loss.value(parameters, state, batch, scalars, derivatives=2)


def _product(
    function: penalties.LossFunction, theta: Sequence[tf.Tensor], direction: Tree
) -> tuple[Tree, tf.Tensor]:
    """(the product of a function's Hessian, the micro-batch's weight)."""
    point = penalties.nested_tape(function, theta, lambda _: direction, 0.0)
    assert point.product is not None
    return point.product, point.auxiliary.of_outputs.weight


def gauss_newton_product(
    loss: MicroBatchLoss, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, direction: Tree
) -> tuple[Tree, tf.Tensor]:
    """`G_b v = J^T H_L J v` (Schraudolph 2002): J of the network's outputs, H_L of the loss as a function of them.

    `J v` comes from differentiating `J^T u`, which is linear in u, so no forward mode is needed and every layer that
    trains is served. The losses that layers add by themselves (regularizers) enter by their own Hessian.
    """
    with tf.GradientTape(watch_accessed_variables=False) as of_u:
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
            tape.watch(theta)
            called = loss.called(theta, state, batch, scalars, derivatives=2)
            outputs = as_full_precision(called.outputs)
        flat = tf.nest.flatten(outputs)
        u = [tf.zeros_like(output) for output in flat]
        of_u.watch(u)
        pulled = penalties.dense(tape.gradient(flat, theta, u, unconnected_gradients=_ZERO))
        along = trees.dot(pulled, direction)
    pushed = of_u.gradient(along, u, unconnected_gradients=_ZERO)
    curved, weight = _output_curvature(loss, outputs, batch, pushed)
    product = penalties.dense(tape.gradient(flat, theta, curved, unconnected_gradients=_ZERO))
    if called.losses:

        def added(parameters: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tuple]:
            again = loss.called(parameters, state, batch, scalars, derivatives=2)
            return tf.convert_to_tensor(added_losses(again.losses, flat[0].dtype)), ()

        of_added = penalties.nested_tape(added, theta, lambda _: direction, 0.0).product
        assert of_added is not None
        product = trees.add_scaled(product, 1.0, of_added)
    return product, weight


def _output_curvature(
    loss: MicroBatchLoss,
    outputs: Any,
    batch: MicroBatch,
    direction: Tree,
) -> tuple[Tree, tf.Tensor]:
    """(`H_L direction`, the micro-batch's weight), H_L the Hessian of the loss in the outputs."""
    flat = tf.nest.flatten(outputs)
    with tf.GradientTape(watch_accessed_variables=False) as outer:
        outer.watch(flat)
        with tf.GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(flat)
            found = loss.of_outputs(outputs, batch)
        gradient = inner.gradient(found.noisy, flat, unconnected_gradients=_ZERO)
        slope = trees.dot(gradient, [tf.stop_gradient(d) for d in direction])
    return outer.gradient(slope, flat, unconnected_gradients=_ZERO), found.weight


_ZERO = tf.UnconnectedGradients.ZERO

CURVATURES: dict[str, CurvatureProduct] = {"hessian": hessian_product, "ggn": gauss_newton_product}
