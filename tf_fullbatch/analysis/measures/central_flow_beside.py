"""The central flow, followed beside a training."""

from collections.abc import Mapping

import numpy as np

from tf_fullbatch.analysis.flows.central_flow import CRITICAL, central_flow_step, predict
from tf_fullbatch.analysis.flows.flat_objective import FlatObjective
from tf_fullbatch.analysis.flows.solver import warm_started
from tf_fullbatch.analysis.measures.base import Moment, Quantity
from tf_fullbatch.analysis.measures.flow_beside import FlowBeside, Position


class CentralFlowBeside(FlowBeside):
    """Predictions of the central flow beside what gradient descent does.

    Args:
        quantities: Names of the figures.
        substeps: Euler steps per step of training.
        tolerance: Of eigenvalues.
    """

    def __init__(self, quantities: Mapping[str, Quantity], substeps: int, tolerance: float):
        super().__init__(quantities)
        self._substeps, self._tolerance = substeps, tolerance

    def advanced(self, network: FlatObjective, at: Position) -> tuple[np.ndarray, np.ndarray]:
        """See `FlowBeside`."""
        step = central_flow_step(
            network,
            at.theta,
            rate=at.rate,
            eigenpairs=warm_started(network, self._tolerance),
            start=at.start,
            substeps=self._substeps,
        )
        return step.theta, step.vectors

    def seen(
        self, network: FlatObjective, at: Position, weights: np.ndarray, moment: Moment
    ) -> dict[str, float]:
        """See `FlowBeside`."""
        # The step from here finds the same once more, and starts as it would without this measurement.
        found = predict(
            network,
            at.theta,
            rate=at.rate,
            eigenpairs=warm_started(network, self._tolerance),
            start=at.start,
            substeps=self._substeps,
        )
        point, apart = moment.point(), weights - at.theta
        gradient = network.vector(point.gradient).astype(np.float64)
        return {
            "loss": float(point.loss),
            "predicted_loss": found.mean_loss,
            "flow_loss": found.loss,
            "squared_gradient_norm": float(gradient @ gradient),
            "predicted_squared_gradient_norm": found.mean_squared_gradient_norm,
            "squared_displacement": float(np.sum((found.directions.T @ apart) ** 2)),
            "predicted_variance": float(found.variances.sum()),
            "distance": float(np.linalg.norm(apart)),
            "flow_sharpness": float(found.eigenvalues[0]),
            "critical_directions": float(np.sum(found.eigenvalues > CRITICAL / at.rate)),
        }
