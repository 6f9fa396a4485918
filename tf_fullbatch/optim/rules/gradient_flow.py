"""Gradient flow, as a Keras optimizer."""

from typing import Any

import keras
import numpy as np

from tf_fullbatch.analysis.flows.flat_objective import FlatObjective
from tf_fullbatch.analysis.flows.gradient_flow import gradient_flow
from tf_fullbatch.analysis.flows.solver import TOLERANCE, warm_started
from tf_fullbatch.analysis.stability import Stability
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.flow_optimizer import FlowOptimizer, Moved


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class GradientFlow(FlowOptimizer):
    """Moves the weights along gradient flow, `dw/dt = -g(w)`, for the time of the learning rate per step.

    By Runge and Kutta's method of order four, in steps of `min(1 / lambda_max, what is left)`
    (`analysis.flows.gradient_flow`). Only `FullBatchModel` trains by it.

    Args:
        learning_rate: Time per step; a number, or a schedule that does not change it.
        solve_every: The eigenvalue is found anew each so many steps of Runge and Kutta's method, and with each step.
        tolerance: See `FlowOptimizer`.
        name: Name of the optimizer.

    Raises:
        UserError: A value is out of its range.

    Source: Cohen, Kaur, Li, Kolter, Talwalkar 2021 (arXiv 2103.00065): step lengths by the sharpness.
    """

    def __init__(
        self,
        learning_rate: Any,
        solve_every: int = 1,
        tolerance: float = TOLERANCE,
        name: str = "gradient_flow",
    ) -> None:
        if solve_every < 1:
            raise UserError(f"solve_every={solve_every}: accepted are at least 1.")
        super().__init__(learning_rate, kept_vectors=1, tolerance=tolerance, name=name)
        self.solve_every = solve_every

    def moved(
        self, network: FlatObjective, theta: np.ndarray, rate: float, start: np.ndarray | None
    ) -> Moved:
        """See `FlowOptimizer`."""
        solver = warm_started(network, self.tolerance)
        tick = gradient_flow(
            network, theta, rate=rate, eigenpairs=solver, start=start, solve_every=self.solve_every
        )
        return Moved(tick.theta, tick.vectors, tick.evaluations)

    def stability(self, learning_rate: float) -> Stability | None:
        """None: the flow bears any curvature."""
        del learning_rate
        return None

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"solve_every": self.solve_every}
