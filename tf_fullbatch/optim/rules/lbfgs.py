"""Limited-memory BFGS with a line search, as a Keras optimizer."""

from typing import Any

import keras

from tf_fullbatch.optim.directions import lbfgs
from tf_fullbatch.optim.rules.search_optimizer import SearchOptimizer


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class LBFGS(SearchOptimizer):
    """L-BFGS (`directions.lbfgs`) with a line search (`SearchOptimizer`).

    It keeps `2 history + 2` vectors of all parameters. Only `FullBatchModel` trains by it, by the whole set.

    Args:
        learning_rate: The length of a step where there is no search.
        history: Pairs of steps and changes of the gradient.
        damping: Least curvature along a step, as a share of the model's; 0 leaves out pairs of too little.
        line_search: A key of `searches.registry.SEARCHES`, or "none".
        line_search_options: Options of it, by name.
        weight_decay: Coefficient of the coupled decay.
        name: Name of the optimizer.

    Raises:
        UserError: A value is out of its range.

    Source: Nocedal and Wright 2006, chapter 7.2; Powell 1978.
    """

    def __init__(
        self,
        learning_rate: Any = 1.0,
        history: int = 10,
        damping: float = 0.2,
        line_search: str = "strong_wolfe",
        line_search_options: dict[str, Any] | None = None,
        weight_decay: float = 0.0,
        name: str = "lbfgs",
    ) -> None:
        direction = lbfgs.LBFGS(history=history, damping=damping)
        super().__init__(
            learning_rate, direction, line_search, line_search_options, weight_decay=weight_decay, name=name
        )
        self.history, self.damping = history, damping

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"history": self.history, "damping": self.damping}
