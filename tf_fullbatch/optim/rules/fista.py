"""FISTA with restarts, as a Keras optimizer."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core import keras_internals, trees
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.directions.accelerated import Accelerated
from tf_fullbatch.optim.directions.base import Kept
from tf_fullbatch.optim.methods.fista import RESTARTS, SEARCHES
from tf_fullbatch.optim.rules.along import Along
from tf_fullbatch.optim.rules.search_optimizer import SearchOptimizer
from tf_fullbatch.optim.rules.search_state import Last
from tf_fullbatch.optim.rules.searched_descent import SearchedDescent, SearchStep


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class Fista(SearchOptimizer):
    """Accelerated gradient descent (`directions.accelerated`): each step's gradient is taken at an extrapolation y.

    The weights are x: what is evaluated, measured and saved is x, whereas the loss of a step's figures, and the
    statistics of batch normalisation, are those at y, where the gradient is. Backtracking accepts a length eta where

        L(x') <= L(y) + g . (x' - y) + |x' - y|^2 / (2 eta) = L(y) - eta |g|^2 / 2

    and tries the last one first: lengths never grow. It keeps one vector of all parameters. Only `FullBatchModel`
    trains by it.

    Args:
        learning_rate: eta, or with a search the length to try first in the first step.
        restart: "gradient", at no cost; "function", by a value at x for a third of an evaluation, unless the search has
            it; or "none".
        p: See `Accelerated`.
        q: See `Accelerated`.
        r: See `Accelerated`.
        line_search: "armijo" or "none".
        line_search_options: Options of it, by name; `decrease` is 1/2 and `shrink` 0.8 unless given.
        weight_decay: Coefficient of the coupled decay.
        name: Name of the optimizer.

    Raises:
        UserError: A value is out of its range.

    Source: Beck and Teboulle 2009, "A fast iterative shrinkage-thresholding algorithm for linear inverse problems".
    """

    def __init__(
        self,
        learning_rate: Any = 1.0,
        restart: str = "gradient",
        p: float = 1.0,
        q: float = 1.0,
        r: float = 4.0,
        line_search: str = "armijo",
        line_search_options: dict[str, Any] | None = None,
        weight_decay: float = 0.0,
        name: str = "fista",
    ) -> None:
        if restart not in RESTARTS:
            raise UserError(f"restart={restart!r}: accepted are {', '.join(RESTARTS)}.")
        if line_search not in SEARCHES:
            raise UserError(
                f"line_search={line_search!r}: accepted are {', '.join(SEARCHES)}; others break its bound."
            )
        if not all(0 < value < math.inf for value in (p, q, r)):
            raise UserError(f"p={p}, q={q}, r={r}: they must be positive and finite.")
        rule = Accelerated(restart=restart, p=p, q=q, r=r)
        super().__init__(
            learning_rate,
            rule,
            line_search,
            line_search_options,
            otherwise={"decrease": 0.5, "shrink": 0.8} if line_search == "armijo" else None,
            weight_decay=weight_decay,
            name=name,
        )
        self.rule = rule

    @property
    def compares_steps(self) -> bool:
        """See `SearchOptimizer`: values of two steps, with the function scheme."""
        return self.rule.restart == "function"

    def descent(self, trainable: Sequence[keras.Variable]) -> "FistaDescent":
        """See `ObjectiveOptimizer`."""
        return FistaDescent(self, trainable, self.decay_of(trainable))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        rule = self.rule
        return super().get_config() | {"restart": rule.restart, "p": rule.p, "q": rule.q, "r": rule.r}


class FistaDescent(SearchedDescent):
    """The steps of `Fista`."""

    def __init__(self, optimizer: Fista, trainable: Sequence[keras.Variable], decay: Sequence[float]):
        super().__init__(optimizer, trainable, decay)
        self._fista = optimizer
        self._ahead = keras_internals.compiled(self._extrapolation)

    @property
    def point(self) -> Tree:
        """y; before the first step x."""
        return self._ahead()

    def _extrapolation(self) -> Tree:
        weights, first = self.weights(), self.steps_completed == 0
        ahead = trees.leaves_like(self._fista.state.kept()["y"], weights)
        return [tf.where(first, w, a) for w, a in zip(weights, ahead, strict=True)]

    def value_after(self, along: Along, made: SearchStep, new: Tree) -> float:
        """See `SearchedDescent`; the function scheme asks where the search has not."""
        value = super().value_after(along, made, new)
        return along.value(new) if self._fista.compares_steps and math.isnan(value) else value

    def kept_after(
        self, kept: Kept, new: Tree, gradient: tf.Tensor, direction: tf.Tensor, numbers: tf.Tensor
    ) -> Kept:
        """See `SearchedDescent`."""
        del direction
        x, ahead = trees.flatten(self.weights()), trees.flatten(new)
        return self._fista.rule.extrapolated(kept, x, ahead, gradient, numbers[1])

    def first_length(self, slope: float, gradient: tf.Tensor, last: Last, *, anew: bool) -> float:
        """The last length: a longer one would break the bound."""
        known = 0.0 if anew else self._fista.state.last().length
        return known or super().first_length(slope, gradient, last, anew=anew)
