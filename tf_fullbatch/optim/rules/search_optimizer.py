"""Methods that go along a direction for a length that a search finds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.beginning import Beginning
from tf_fullbatch.core import keras_internals, trees
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.directions.base import Direction
from tf_fullbatch.optim.rules.objective_optimizer import ObjectiveOptimizer
from tf_fullbatch.optim.rules.search_state import SearchState
from tf_fullbatch.optim.rules.searched_descent import SearchedDescent
from tf_fullbatch.optim.searches.registry import search_of


class SearchOptimizer(ObjectiveOptimizer):
    """Goes along a direction, for the length that a search accepts or, without one, for the learning rate.

    What is searched along, and whose gradient the direction is made of, is the loss with its exact penalty and
    `weight_decay / 2 |theta|^2`. Where the direction does not descend, or the search finds nothing along it, what was
    learnt is forgotten and the negative gradient is searched along, from a step of length 1 on; where nothing is found
    there either, the run ends (`SearchFailedError`), unless what is promised is less than the loss's precision can
    show, or the step less than the weights' can: then the method has converged, and stays where it is.

    Args:
        learning_rate: The length without a search; with one, the length to try first where a direction has no natural
            length. A number, or a schedule of the step.
        direction: The rule for directions.
        line_search: The rule for lengths, a key of `searches.registry.SEARCHES`, or "none".
        line_search_options: Options of it, by name.
        otherwise: Options of it where these are not given.
        weight_decay: Coefficient of the coupled decay.
        growth: Where a direction has no natural length, the length to try first is this times the one that promises
            the decrease of the step before.
        name: Name of the optimizer.

    Attributes:
        converged: Whether it stayed where it is, as said above, in the last step that it made.

    Raises:
        UserError: The decay is negative, or the search is unknown or has not such options.
    """

    def __init__(
        self,
        learning_rate: Any,
        direction: Direction,
        line_search: str,
        line_search_options: Mapping[str, Any] | None,
        *,
        otherwise: Mapping[str, Any] | None = None,
        weight_decay: float = 0.0,
        growth: float = 1.0,
        name: str = "search",
    ) -> None:
        if not (weight_decay >= 0 and math.isfinite(weight_decay)):
            raise UserError(f"weight_decay={weight_decay}: it has to be a number and not negative.")
        super().__init__(learning_rate=learning_rate, name=name)
        self.line_search, self.line_search_options = line_search, dict(line_search_options or {})
        self.direction_rule = direction
        self.search_rule = search_of(line_search, **{**(otherwise or {}), **self.line_search_options})
        self.own_weight_decay, self.growth = weight_decay, growth
        self.converged = False

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes what the direction and the search keep."""
        if self.built:
            return
        super().build(variables)
        dtype = trees.widest([tf.convert_to_tensor(v.value) for v in variables]).name
        size = sum(int(np.prod(v.shape)) for v in variables)
        self.state = SearchState(self, self.direction_rule.keeps(size), dtype)

    def descent(self, trainable: Sequence[keras.Variable]) -> SearchedDescent:
        """See `ObjectiveOptimizer`."""
        return SearchedDescent(self, trainable, self.decay_of(trainable))

    def decay_of(self, trainable: Sequence[keras.Variable]) -> list[float]:
        """The coefficient of the decay of each variable."""
        return [self.own_weight_decay if keras_internals.is_decayed(self, v) else 0.0 for v in trainable]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments that all have."""
        return {
            "name": self.name,
            "learning_rate": super().get_config()["learning_rate"],
            "weight_decay": self.own_weight_decay,
            "line_search": self.line_search,
            "line_search_options": dict(self.line_search_options),
        }

    @property
    def compares_steps(self) -> bool:
        """Whether gradients or values of different steps are compared, which then have to be of one function."""
        return self.direction_rule.gradients_compared or (
            self.search_rule is not None and self.search_rule.values_compared
        )

    def refuse(self, training: Beginning) -> None:
        """See `ObjectiveOptimizer`."""
        spoilt = list(training.beside_the_objective)
        if self.compares_steps:
            spoilt += training.differs_from_step_to_step
        if spoilt:
            raise UserError(
                f"--optimizer={self.name}: it goes down one function, its gradient the gradient of that; leave out "
                f"{', '.join(spoilt)}."
            )


def growth_of(line_search: str) -> float:
    """How much longer than the step before promises a search begins: backtracking only makes steps shorter."""
    return 2.0 if line_search in ("armijo", "non_monotone") else 1.0
