"""Exact curvature of a micro-batch's loss along directions: the Hessian and the generalised Gauss-Newton matrix.

Along several directions at once the forward pass and the first backward pass are made once.
"""

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
"""Maps (loss, theta, state, batch, scalars, directions ...) to (the products, a tree each, the leaves of one tree after
those of the other; the micro-batch's weight)."""


def hessian_product(
    loss: MicroBatchLoss, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, *directions: Tree
) -> tuple[Tree, tf.Tensor]:
    """`H_b v` of each direction v by nested tapes (Pearlmutter 1994)."""
    return _weighted(_loss_function(loss, state, batch, scalars), theta, directions)


def penalised_hessian_product(
    loss: MicroBatchLoss, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, *directions: Tree
) -> tuple[Tree, tf.Tensor]:
    """Products of the Hessian of `L_b + (lr s / 8) |g_b|^2`, the penalised loss, by tapes three deep."""
    plain = _loss_function(loss, state, batch, scalars)

    def penalised(parameters: Sequence[tf.Tensor]) -> tuple[tf.Tensor, Evaluated]:
        point = penalties.value_and_gradient(plain, parameters)
        added = penalties.penalty_value(scalars, trees.squared_norm(point.gradient), None)
        return point.loss + tf.cast(added, point.loss.dtype), point.auxiliary

    return _weighted(penalised, theta, directions)


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

    return _weighted(slope, theta, [left])


def _loss_function(
    loss: MicroBatchLoss, state: Tree, batch: MicroBatch, scalars: StepScalars
) -> penalties.LossFunction:
    """The micro-batch's loss as a function of the parameters, right in derivatives of every order."""
    return lambda parameters: loss.value(parameters, state, batch, scalars, derivatives=2, second_alone=True)


def _weighted(
    function: penalties.LossFunction, theta: Sequence[tf.Tensor], directions: Sequence[Tree]
) -> tuple[Tree, tf.Tensor]:
    """(the products of a function's Hessian, the micro-batch's weight)."""
    products, evaluated = _products(function, theta, directions)
    return products, evaluated.of_outputs.weight


def _products(
    function: penalties.LossFunction, theta: Sequence[tf.Tensor], directions: Sequence[Tree]
) -> tuple[Tree, Any]:
    """(the products of a function's Hessian, what the function returned beside its value)."""
    with tf.GradientTape(watch_accessed_variables=False, persistent=True) as outer:
        outer.watch(theta)
        point = penalties.value_and_gradient(function, theta)

    def product(direction: Tree) -> Tree:
        # The derivative of `<gradient, direction>`, the direction held fixed.
        v = [tf.cast(a, g.dtype) for a, g in zip(direction, point.gradient, strict=True)]
        return penalties.dense(outer.gradient(point.gradient, theta, v, unconnected_gradients=_ZERO))

    return _one_after_the_other(product, directions), point.auxiliary


def _one_after_the_other(product: Callable[[Tree], Tree], directions: Sequence[Tree]) -> Tree:
    """The leaves of all products; each begins when the last one is done, since side by side they take more memory."""
    leaves: Tree = []
    for direction in directions:
        with tf.control_dependencies(leaves):
            after = [tf.identity(leaf) for leaf in direction]
        leaves += product(after)
    return leaves


def gauss_newton_product(
    loss: MicroBatchLoss, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, *directions: Tree
) -> tuple[Tree, tf.Tensor]:
    """`G_b v = J^T H_L J v` (Schraudolph 2002): J of the network's outputs, H_L of the loss as a function of them.

    `J v` comes from differentiating `J^T u`, which is linear in u, so no forward mode is needed and every layer that
    trains is served. The losses that layers add by themselves (regularizers) enter by their own Hessian.
    """
    with tf.GradientTape(watch_accessed_variables=False, persistent=True) as of_u:
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
            tape.watch(theta)
            called = loss.called(theta, state, batch, scalars, derivatives=2)
            outputs = as_full_precision(called.outputs)
        flat = tf.nest.flatten(outputs)
        u = [tf.zeros_like(output) for output in flat]
        of_u.watch(u)
        pulled = penalties.dense(tape.gradient(flat, theta, u, unconnected_gradients=_ZERO))

    def product(direction: Tree) -> Tree:
        v = [tf.cast(a, p.dtype) for a, p in zip(direction, pulled, strict=True)]
        pushed = of_u.gradient(pulled, u, v, unconnected_gradients=_ZERO)
        curved = _output_curvature(loss, outputs, batch, pushed)
        return penalties.dense(tape.gradient(flat, theta, curved, unconnected_gradients=_ZERO))

    products = _one_after_the_other(product, directions)
    if called.losses:

        def added(parameters: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tuple]:
            again = loss.called(parameters, state, batch, scalars, derivatives=2)
            return tf.convert_to_tensor(added_losses(again.losses, flat[0].dtype)), ()

        products = trees.add_scaled(products, 1.0, _products(added, theta, directions)[0])
    return products, loss.of_outputs(outputs, batch).weight


def _output_curvature(
    loss: MicroBatchLoss,
    outputs: Any,
    batch: MicroBatch,
    direction: Tree,
) -> Tree:
    """`H_L direction`, H_L the Hessian of the loss in the outputs."""
    flat = tf.nest.flatten(outputs)
    with tf.GradientTape(watch_accessed_variables=False) as outer:
        outer.watch(flat)
        with tf.GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(flat)
            noisy = loss.of_outputs(outputs, batch, second_alone=True).noisy
        gradient = inner.gradient(noisy, flat, unconnected_gradients=_ZERO)
        slope = trees.dot(gradient, [tf.stop_gradient(d) for d in direction])
    return outer.gradient(slope, flat, unconnected_gradients=_ZERO)


_ZERO = tf.UnconnectedGradients.ZERO

CURVATURES: dict[str, CurvatureProduct] = {"hessian": hessian_product, "ggn": gauss_newton_product}
