"""The gradient penalty of a micro-batch: exact and finite-difference Hessian-vector products.

With learning rate `lr`, strength `s` and full-gradient strength `a`, the gradient of micro-batch `b` becomes

    g_b + (lr / 4) * H_b v,      v = s * g_b + a * g

where `g` is the gradient of the whole update batch. At `a = 0` and fixed `lr` this is the gradient of
`L_b + (lr * s / 8) * |g_b|^2` (Geiping et al. 2022, section 3.3; `s = 2` is the coefficient that backward
error analysis of SGD derives, Smith et al. 2021).

Every operator here computes `H_b v` for a loss given as a function of the parameters alone. The exact ones
(`nested_tape`, `forward_over_reverse`) agree with each other on any network. The finite differences
(`forward_differences`, the published choice, and `central_differences`) agree with them where the loss is
smooth at the scale of the step; on ReLU networks at practical steps they are another operator.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.micro_batch import StepScalars
from tf_fullbatch.core.names import EXACT, GRADIENT_EVALUATIONS
from tf_fullbatch.core.trees import Tree

LossFunction = Callable[[Sequence[tf.Tensor]], tuple[tf.Tensor, Any]]
"""Maps parameters (a tree) to (scalar loss, a structure of auxiliary tensors)."""

Direction = Callable[[Tree], Tree]
"""Maps a micro-batch's gradient `g_b` to the direction `v` of the Hessian-vector product."""


class GradientAndProduct(NamedTuple):
    """A loss, its gradient and a Hessian-vector product at one point.

    Attributes:
        loss: Scalar.
        auxiliary: What the loss function returned beside the loss, evaluated at the unshifted parameters.
        gradient: Tree, the gradient of the loss.
        product: Tree, `H v`; None where no product was asked for. Of a perturbation, the gradient at the shifted
            parameters (`perturbations`).
    """

    loss: tf.Tensor
    auxiliary: Any
    gradient: Tree
    product: Tree | None


class HessianVectorProduct(Protocol):
    """An operator: a micro-batch's gradient, and the product of its Hessian with a direction that depends on it."""

    def __call__(
        self, loss_function: LossFunction, theta: Sequence[tf.Tensor], direction: Direction, epsilon: float
    ) -> GradientAndProduct:
        """Evaluates both at `theta`.

        Args:
            loss_function: The micro-batch's loss as a function of the parameters.
            theta: Tree, the parameters.
            direction: Gives `v` from `g_b`; where `v = 0` the product is zero.
            epsilon: Length of a finite difference's step in parameter space; the exact operators do not use it.
        """


def value_and_gradient(loss_function: LossFunction, theta: Sequence[tf.Tensor]) -> GradientAndProduct:
    """Loss and gradient, one forward and one backward pass."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(theta)
        loss, auxiliary = loss_function(theta)
    gradient = dense(tape.gradient(loss, theta, unconnected_gradients=tf.UnconnectedGradients.ZERO))
    return GradientAndProduct(loss, auxiliary, gradient, None)


def nested_tape(
    loss_function: LossFunction, theta: Sequence[tf.Tensor], direction: Direction, epsilon: float
) -> GradientAndProduct:
    """Exact `H v` as the gradient of `<g_b(theta), v>` with `v` held fixed, by nested tapes (Pearlmutter 1994)."""
    del epsilon
    with tf.GradientTape(watch_accessed_variables=False) as outer:
        outer.watch(theta)
        with tf.GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(theta)
            loss, auxiliary = loss_function(theta)
        gradient = dense(inner.gradient(loss, theta, unconnected_gradients=tf.UnconnectedGradients.ZERO))
        with outer.stop_recording():
            # Stopped as well: where `direction` hands back the gradient itself, v is a recorded tensor.
            v = [tf.stop_gradient(a) for a in direction(gradient)]
        slope = trees.dot(gradient, v)
    product = outer.gradient(slope, theta, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return GradientAndProduct(loss, auxiliary, gradient, dense(product))


def forward_over_reverse(
    loss_function: LossFunction, theta: Sequence[tf.Tensor], direction: Direction, epsilon: float
) -> GradientAndProduct:
    """Exact `H v` as the directional derivative of the gradient, by forward over reverse differentiation.

    `v` depends on the gradient, so the gradient is computed once before: one backward pass more than
    `nested_tape`, and no second derivative is kept in memory.
    """
    del epsilon
    point = value_and_gradient(loss_function, theta)
    v = direction(point.gradient)
    theta = list(theta)
    with tf.autodiff.ForwardAccumulator(theta, v) as accumulator:
        gradient = value_and_gradient(loss_function, theta).gradient
    product = accumulator.jvp(gradient, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return point._replace(product=dense(product))


def forward_differences(
    loss_function: LossFunction, theta: Sequence[tf.Tensor], direction: Direction, epsilon: float
) -> GradientAndProduct:
    """`H v ~ (grad L(theta + e v) - grad L(theta)) / e` with `e = epsilon / |v|`: the published operator."""
    point = value_and_gradient(loss_function, theta)
    v = direction(point.gradient)
    step, inverse_step = _step_along(v, epsilon)
    shifted = value_and_gradient(loss_function, trees.add_scaled(theta, step, v)).gradient
    return point._replace(product=trees.scale(inverse_step, trees.subtract(shifted, point.gradient)))


def central_differences(
    loss_function: LossFunction, theta: Sequence[tf.Tensor], direction: Direction, epsilon: float
) -> GradientAndProduct:
    """`H v ~ (grad L(theta + e v / 2) - grad L(theta - e v / 2)) / e` with `e = epsilon / |v|`.

    Second order in `epsilon` where `forward_differences` is first order; one more gradient.
    """
    point = value_and_gradient(loss_function, theta)
    v = direction(point.gradient)
    step, inverse_step = _step_along(v, epsilon)
    ahead = value_and_gradient(loss_function, trees.add_scaled(theta, step / 2, v)).gradient
    behind = value_and_gradient(loss_function, trees.add_scaled(theta, -step / 2, v)).gradient
    return point._replace(product=trees.scale(inverse_step, trees.subtract(ahead, behind)))


PENALTIES: dict[str, HessianVectorProduct | None] = {
    "none": None,
    "nested_tape": nested_tape,
    "forward_over_reverse": forward_over_reverse,
    "forward_differences": forward_differences,
    "central_differences": central_differences,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Penalty:
    """An operator with its direction `v = s g_b + a g` and its coefficient `lr / 4`.

    Attributes:
        name: A key of `PENALTIES`, not "none".
        epsilon: Length in parameter space of the finite differences' step.
    """

    name: str
    epsilon: float = 0.01

    @property
    def exact(self) -> bool:
        """Whether the loss is differentiated twice."""
        return self.name in EXACT

    @property
    def gradient_evaluations(self) -> int:
        """Gradient evaluations per sample."""
        return GRADIENT_EVALUATIONS[self.name]

    def __call__(
        self,
        loss_function: LossFunction,
        theta: Sequence[tf.Tensor],
        scalars: StepScalars,
        full_gradient: Sequence[tf.Tensor] | None,
    ) -> GradientAndProduct:
        """The micro-batch's own gradient `g_b` and the product `H_b v`, see `changed`.

        Args:
            loss_function: The micro-batch loss as a function of the parameters.
            theta: Parameters at which everything is evaluated.
            scalars: Learning rate and strengths of the step.
            full_gradient: Tree, `g`; None without the penalty on the whole gradient.
        """

        def direction(gradient: Tree) -> Tree:
            v = trees.scale(scalars.micro_batch_penalty, gradient)
            return v if full_gradient is None else trees.add_scaled(v, scalars.full_penalty, full_gradient)

        operator = PENALTIES[self.name]
        assert operator is not None
        return operator(loss_function, theta, direction, self.epsilon)

    def changed(self, point: GradientAndProduct, scalars: StepScalars) -> Tree:
        """`g_b + (lr / 4) H_b v`."""
        assert point.product is not None
        return trees.add_scaled(point.gradient, scalars.learning_rate / 4, point.product)


def penalty_value(
    scalars: StepScalars, mean_squared_norm: tf.Tensor, full_gradient: Sequence[tf.Tensor] | None
) -> tf.Tensor:
    """`(lr / 8) (s mean_b |g_b|^2 + a |g|^2)`, what the penalty adds to the loss.

    Args:
        scalars: Learning rate and strengths of the step.
        mean_squared_norm: Mean over the micro-batches of `|g_b|^2`.
        full_gradient: Tree, `g`; None without the penalty on the whole gradient.
    """
    rate = scalars.learning_rate
    value = rate / 8 * scalars.micro_batch_penalty * tf.cast(mean_squared_norm, rate.dtype)
    if full_gradient is not None:
        value += rate / 8 * scalars.full_penalty * tf.cast(trees.squared_norm(full_gradient), rate.dtype)
    return value


def _step_along(v: Tree, epsilon: float) -> tuple[tf.Tensor, tf.Tensor]:
    """(e, 1/e) for `e = epsilon / |v|`, both zero where `v = 0`."""
    norm = trees.global_norm(v)
    epsilon = trees.scalar(epsilon, norm.dtype)
    return tf.math.divide_no_nan(epsilon, norm), norm / epsilon


def dense(gradient: Sequence[tf.Tensor | tf.IndexedSlices]) -> Tree:
    """Sparse slices (of embeddings) as dense tensors."""
    return [tf.convert_to_tensor(g) for g in gradient]
