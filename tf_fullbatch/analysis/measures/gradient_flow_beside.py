"""Gradient flow, followed beside a training."""

from collections.abc import Mapping

import numpy as np

from tf_fullbatch.analysis.flows.flat_objective import FlatObjective, largest_pairs
from tf_fullbatch.analysis.flows.gradient_flow import gradient_flow
from tf_fullbatch.analysis.flows.solver import warm_started
from tf_fullbatch.analysis.measures.base import Moment, Quantity
from tf_fullbatch.analysis.measures.flow_beside import FlowBeside, Position


class GradientFlowBeside(FlowBeside):
    """Gradient flow beside gradient descent.

    Args:
        quantities: Names of the figures.
        tolerance: Of eigenvalues.
    """

    def __init__(self, quantities: Mapping[str, Quantity], tolerance: float):
        super().__init__(quantities)
        self._tolerance = tolerance
        self._substeps = 0

    def advanced(self, network: FlatObjective, at: Position) -> tuple[np.ndarray, np.ndarray]:
        """See `FlowBeside`."""
        solver = warm_started(network, self._tolerance)
        tick = gradient_flow(network, at.theta, rate=at.rate, eigenpairs=solver, start=at.start)
        self._substeps += tick.substeps
        return tick.theta, tick.vectors

    def seen(
        self, network: FlatObjective, at: Position, weights: np.ndarray, moment: Moment
    ) -> dict[str, float]:
        """See `FlowBeside`."""
        pairs = largest_pairs(warm_started(network, self._tolerance), at.theta, 1, at.start)
        substeps, self._substeps = self._substeps, 0
        return {
            "loss": float(moment.point().loss),
            "flow_loss": network.value_and_gradient(at.theta).loss,
            "distance": float(np.linalg.norm(weights - at.theta)),
            "flow_sharpness": float(pairs.values[0]),
            "substeps": float(substeps),
        }

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """See `Measure`."""
        super().restore(arrays)
        self._substeps = 0
