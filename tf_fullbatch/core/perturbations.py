"""Gradients at perturbed weights: sharpness-aware minimisation and its kin.

With g the gradient at the weights w, each of them descends

    (1 - a) g + a grad L(w + e),    e = rho g / |g|

of the whole update batch, or of each micro-batch by itself (averaged afterwards). `a = 1` is sharpness-aware
minimisation (Foret et al. 2021, arXiv 2010.01412); `a = lambda / rho` the penalty `lambda |g|` on the gradient's norm
(Zhao et al. 2022, arXiv 2202.03599). The adaptive form (Kwon et al. 2021, arXiv 2102.11600) measures the ball in units
of the weights:

    e = rho T^2 g / |T g|,    T = |w| + eta of kernels and matrices, 1 of other weights

Forward differences of the gradient penalty are such a step as well, of each micro-batch b, with a weight in proportion
to its gradient's norm: `rho = epsilon` and `a_b = (lr s / (4 epsilon)) |g_b|`, see `penalties`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.micro_batch import StepScalars
from tf_fullbatch.core.penalties import GradientAndProduct, LossFunction, value_and_gradient
from tf_fullbatch.core.trees import Tree


@dataclass(frozen=True, kw_only=True, slots=True)
class Perturbation:
    """A member of the family.

    Attributes:
        radius: rho, length of e in parameter space (with `adaptive`: of T^-1 e), positive.
        weight: a; with `proportional`, a / |g|.
        warmup_epochs: Passes over which the weight rises linearly from 0.
        proportional: Whether the weight is multiplied by |g|.
        adaptive: Whether the ball is measured in units of the weights.
        eta: Added to the magnitudes of weights where it is.
    """

    radius: float
    weight: float = 1.0
    warmup_epochs: float = 0.0
    proportional: bool = False
    adaptive: bool = False
    eta: float = 0.01

    exact: ClassVar[bool] = False
    gradient_evaluations: ClassVar[int] = 2

    def shifted(self, theta: Sequence[tf.Tensor], gradient: Tree) -> Tree:
        """`w + e`; w where the gradient is zero.

        Args:
            theta: Tree, w.
            gradient: Tree, g.
        """
        scales = self._scales(theta)
        scaled = gradient if scales is None else [t * g for t, g in zip(scales, gradient, strict=True)]
        norm = trees.global_norm(scaled)
        direction = scaled if scales is None else [t * g for t, g in zip(scales, scaled, strict=True)]
        length = tf.math.divide_no_nan(trees.scalar(self.radius, norm.dtype), norm)
        return trees.add_scaled(theta, length, direction)

    def weight_in(self, epoch: tf.Tensor | int, gradient_norm: tf.Tensor | float) -> tf.Tensor:
        """a, a float64 scalar.

        Args:
            epoch: Passes completed before.
            gradient_norm: `|g|`.
        """
        weight = tf.constant(self.weight, tf.float64)
        if self.warmup_epochs:
            weight *= tf.minimum(tf.cast(epoch, tf.float64) / self.warmup_epochs, 1.0)
        if self.proportional:
            weight *= trees.scalar(gradient_norm, tf.float64)
        return weight

    def combined(self, gradient: Tree, shifted_gradient: Tree, epoch: tf.Tensor) -> Tree:
        """`(1 - a) g + a g'`.

        Args:
            gradient: Tree, g.
            shifted_gradient: Tree, g', at the shifted weights.
            epoch: int64 scalar, passes completed before.
        """
        weight = self.weight_in(epoch, trees.global_norm(gradient))
        # Not g + a (g' - g): at a = 1 that is g' but for rounding.
        return trees.add_scaled(trees.scale(1 - weight, gradient), weight, shifted_gradient)

    def __call__(
        self,
        loss_function: LossFunction,
        theta: Sequence[tf.Tensor],
        scalars: StepScalars,
        full_gradient: Sequence[tf.Tensor] | None,
    ) -> GradientAndProduct:
        """A micro-batch's gradient at the weights and, in the place of a product, at the shifted ones."""
        del scalars, full_gradient
        point = value_and_gradient(loss_function, theta)
        shifted = value_and_gradient(loss_function, self.shifted(theta, point.gradient)).gradient
        return point._replace(product=shifted)

    def changed(self, point: GradientAndProduct, scalars: StepScalars) -> Tree:
        """`combined` of a micro-batch."""
        assert point.product is not None
        return self.combined(point.gradient, point.product, scalars.epoch)

    def _scales(self, theta: Sequence[tf.Tensor]) -> Tree | None:
        """T; None for ones."""
        if not self.adaptive:
            return None
        return [
            tf.abs(w) + trees.scalar(self.eta, w.dtype) if w.shape.rank > 1 else tf.ones_like(w)
            for w in theta
        ]
