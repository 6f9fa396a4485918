"""Newton's method by conjugate gradients, with a line search, as a Keras optimizer."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.analysis.beginning import Beginning
from tf_fullbatch.core import trees
from tf_fullbatch.core.names import CURVATURES
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.directions.base import dot
from tf_fullbatch.optim.directions.steepest import Steepest
from tf_fullbatch.optim.rules.search_optimizer import SearchOptimizer
from tf_fullbatch.optim.rules.searched_descent import Begun, SearchedDescent

Product = Callable[[tf.Tensor], tf.Tensor]
"""Maps a vector `[parameters]` to its product with a symmetric matrix."""


def truncated_cg(product: Product, gradient: tf.Tensor, most_products: int) -> tf.Tensor:
    """About `-B^-1 g`: conjugate gradients from 0 until `|B z + g| <= min(1/2, sqrt(|g|)) |g|`.

    Where a direction has no positive curvature the method ends with what it has; with `-g` if that is nothing yet.
    What it gives is a direction of descent either way.

    Args:
        product: With B.
        gradient: g, `[parameters]`, not 0.
        most_products: Products to end after.

    Source: Nocedal and Wright 2006, algorithm 7.1.
    """
    norm = float(tf.norm(gradient))
    tolerance = min(0.5, norm**0.5) * norm
    z, residual = tf.zeros_like(gradient), gradient
    d, square = -residual, float(dot(residual, residual))
    for _ in range(most_products):
        along = product(d)
        curvature = float(dot(d, along))
        if not curvature > 0:
            break
        z += square / curvature * d
        residual += square / curvature * along
        before, square = square, float(dot(residual, residual))
        if square <= tolerance**2:
            break
        d = square / before * d - residual
    return z if bool(tf.reduce_any(z != 0)) else -gradient


class _Newton(Steepest):
    """The rule for directions: nothing is kept. See `NewtonCGDescent`."""

    natural: ClassVar[bool] = True


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class NewtonCG(SearchOptimizer):
    """Newton's method whose equations conjugate gradients solve in part (`truncated_cg`), with a line search.

    The matrix is that of the objective that is gone down, with its exact penalty and decay, and `damping` times the
    identity. Nothing is kept from step to step. Only `FullBatchModel` trains by it.

    Args:
        learning_rate: The length of a step where there is no search.
        curvature: "hessian" or "ggn", the generalised Gauss-Newton matrix, which has no negative curvature.
        damping: Added to the diagonal.
        most_products: Products with the matrix per step; each counts two gradient evaluations.
        line_search: A key of `searches.registry.SEARCHES`, or "none".
        line_search_options: Options of it, by name.
        weight_decay: Coefficient of the coupled decay.
        name: Name of the optimizer.

    Raises:
        UserError: A value is out of its range.

    Source: Nocedal and Wright 2006, chapter 7.1; Martens 2010.
    """

    def __init__(
        self,
        learning_rate: Any = 1.0,
        curvature: str = "hessian",
        damping: float = 0.0,
        most_products: int = 20,
        line_search: str = "armijo",
        line_search_options: dict[str, Any] | None = None,
        weight_decay: float = 0.0,
        name: str = "newton_cg",
    ) -> None:
        if curvature not in CURVATURES or not damping >= 0 or most_products < 1:
            raise UserError(
                f"curvature={curvature!r}, damping={damping}, most_products={most_products}: accepted are one of "
                f"{', '.join(CURVATURES)}, a number not negative, and at least 1."
            )
        super().__init__(
            learning_rate, _Newton(), line_search, line_search_options, weight_decay=weight_decay, name=name
        )
        self.curvature, self.damping, self.most_products = curvature, damping, most_products

    def descent(self, trainable: Sequence[keras.Variable]) -> "NewtonCGDescent":
        """See `ObjectiveOptimizer`."""
        return NewtonCGDescent(self, trainable, self.decay_of(trainable))

    def refuse(self, training: Beginning) -> None:
        """See `ObjectiveOptimizer`."""
        super().refuse(training)
        training.refuse_inexact()
        penalties = [given for given in training.beside_the_method if given.startswith("--penalty")]
        if self.curvature == "ggn" and penalties:
            raise UserError(
                f"--optimizer={self.name} with curvature=ggn and {', '.join(penalties)}: a penalised loss has its "
                "Hessian alone; leave one of them out."
            )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {name: getattr(self, name) for name in ("curvature", "damping", "most_products")}
        return super().get_config() | own


class NewtonCGDescent(SearchedDescent):
    """The steps of `NewtonCG`, as a `descent.Descent`."""

    _mine: NewtonCG

    def directed(self, begun: Begun, objective: Objective) -> Begun:
        """See `SearchedDescent`."""
        mine, theta, gradient = self._mine, begun.theta, begun.gradient

        def product(vector: tf.Tensor) -> tf.Tensor:
            v = trees.leaves_like(vector, theta)
            (found,) = objective.hvps(theta, [v], mine.curvature, objective.penalty)
            return trees.flatten(self.with_decay(found, v)) + mine.damping * vector

        direction = truncated_cg(product, gradient, mine.most_products)
        slope = tf.cast(dot(direction, gradient), tf.float64)
        return begun._replace(direction=direction, numbers=tf.stack([begun.numbers[0], slope]))
