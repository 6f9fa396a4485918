"""The central flow of gradient descent, as a Keras optimizer."""

from typing import Any, ClassVar

import keras
import numpy as np

from tf_fullbatch.analysis import stability
from tf_fullbatch.analysis.flows.central_flow import SUBSTEPS, central_flow_step
from tf_fullbatch.analysis.flows.flat_objective import FlatObjective
from tf_fullbatch.analysis.flows.solver import TOLERANCE, warm_started
from tf_fullbatch.analysis.stability import Stability
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.flow_optimizer import FlowOptimizer, Moved


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class CentralFlow(FlowOptimizer):
    """Moves the weights along the central flow of gradient descent (`analysis.flows.central_flow`).

        dw/dt = -lr (g(w) + 1/2 grad <H(w), Sigma>),   Sigma >= 0,  H <= (2 / lr) I,  <Sigma, (2 / lr) I - H> = 0

    in steps of one step of gradient descent. Only `FullBatchModel` trains by it: it asks for third derivatives.

    Args:
        learning_rate: Of gradient descent, lr; a number, or a schedule that does not change it.
        substeps: Euler steps per step.
        kept_vectors: See `FlowOptimizer`.
        tolerance: See `FlowOptimizer`.
        name: Name of the optimizer.

    Raises:
        UserError: A value is out of its range.

    Source: Cohen, Damian, Talwalkar, Kolter, Lee 2024 (arXiv 2410.24206).
    """

    third_derivatives: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: Any,
        substeps: int = SUBSTEPS,
        kept_vectors: int = 10,
        tolerance: float = TOLERANCE,
        name: str = "central_flow",
    ) -> None:
        if substeps < 1:
            raise UserError(f"substeps={substeps}: accepted are at least 1.")
        super().__init__(learning_rate, kept_vectors=kept_vectors, tolerance=tolerance, name=name)
        self.substeps = substeps

    def moved(
        self, network: FlatObjective, theta: np.ndarray, rate: float, start: np.ndarray | None
    ) -> Moved:
        """See `FlowOptimizer`."""
        solver = warm_started(network, self.tolerance)
        step = central_flow_step(
            network, theta, rate=rate, eigenpairs=solver, start=start, substeps=self.substeps
        )
        return Moved(step.theta, step.vectors, step.evaluations)

    def stability(self, learning_rate: float) -> Stability | None:
        """Gradient descent's, 2 / lr: the flow keeps to it."""
        return stability.gradient_descent(learning_rate)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"substeps": self.substeps, "kept_vectors": self.kept_vectors}
