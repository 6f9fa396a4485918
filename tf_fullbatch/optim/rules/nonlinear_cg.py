"""Nonlinear conjugate gradients with a line search, as a Keras optimizer."""

from typing import Any

import keras

from tf_fullbatch.optim.directions import nonlinear_cg
from tf_fullbatch.optim.rules.search_optimizer import SearchOptimizer


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class NonlinearCG(SearchOptimizer):
    """Nonlinear conjugate gradients (`directions.nonlinear_cg`) with a line search (`SearchOptimizer`).

    It keeps two vectors of all parameters. Only `FullBatchModel` trains by it, by the whole set.

    Args:
        learning_rate: The length to try first, or without a search to go.
        beta: "hager_zhang", "polak_ribiere" or "hestenes_stiefel".
        restart_every: Steps after which it begins anew with the gradient; 0 for as many as there are parameters.
        line_search: A key of `searches.registry.SEARCHES`, or "none".
        line_search_options: Options of it, by name; `curvature` is 0.1 unless given, for conjugate directions need
            lengths near the minimum.
        weight_decay: Coefficient of the coupled decay.
        name: Name of the optimizer.

    Raises:
        UserError: A value is out of its range.

    Source: Hager and Zhang 2005; Nocedal and Wright 2006, chapter 5.2.
    """

    def __init__(
        self,
        learning_rate: Any = 0.1,
        beta: str = "hager_zhang",
        restart_every: int = 0,
        line_search: str = "hager_zhang",
        line_search_options: dict[str, Any] | None = None,
        weight_decay: float = 0.0,
        name: str = "nonlinear_cg",
    ) -> None:
        direction = nonlinear_cg.NonlinearCG(beta=beta, restart_every=restart_every)
        super().__init__(
            learning_rate,
            direction,
            line_search,
            line_search_options,
            otherwise=_CLOSER.get(line_search),
            weight_decay=weight_decay,
            name=name,
        )
        self.beta, self.restart_every = beta, restart_every

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"beta": self.beta, "restart_every": self.restart_every}


_CLOSER = {
    "strong_wolfe": {"curvature": 0.1},
    "hager_zhang": {"decrease": 0.05, "curvature": 0.1},
}
"""Options that bring a search near the minimum."""
