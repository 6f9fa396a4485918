"""Gradient descent with a line search, as a Keras optimizer."""

from typing import Any

import keras

from tf_fullbatch.optim.directions.steepest import Steepest
from tf_fullbatch.optim.rules.search_optimizer import SearchOptimizer, growth_of
from tf_fullbatch.optim.rules.update_rule import refuse_outside


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class SearchedGradientDescent(SearchOptimizer):
    """Gradient descent, with or without momentum, for the length that a search finds (`SearchOptimizer`).

    Backtracking begins at twice the length that promises the decrease of the step before; other searches at that.

    Args:
        learning_rate: The length to try first in the first step.
        momentum: In [0, 1).
        nesterov: Whether the direction looks one momentum step ahead.
        line_search: A key of `searches.registry.SEARCHES`.
        line_search_options: Options of it, by name.
        weight_decay: Coefficient of the coupled decay.
        name: Name of the optimizer.

    Raises:
        UserError: A value is out of its range.
    """

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.0,
        nesterov: bool = True,
        line_search: str = "armijo",
        line_search_options: dict[str, Any] | None = None,
        weight_decay: float = 0.0,
        name: str = "gradient_descent",
    ) -> None:
        refuse_outside("momentum", momentum, 0, 1)
        super().__init__(
            learning_rate,
            Steepest(momentum=momentum, nesterov=nesterov),
            line_search,
            line_search_options,
            weight_decay=weight_decay,
            growth=growth_of(line_search),
            name=name,
        )
        self.momentum, self.nesterov = momentum, nesterov

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}
