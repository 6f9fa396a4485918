"""A flow that is followed beside a training: what the measures of flows have in common."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tf_fullbatch.analysis.flows.flat_objective import FlatObjective, FlowEndedError
from tf_fullbatch.analysis.measures.base import Figure, Measure, Moment, Quantity
from tf_fullbatch.errors import UserError


class Position(NamedTuple):
    """Where a flow stands.

    Attributes:
        theta: `[parameters]` float64; nan where the flow has ended.
        vectors: `[parameters, tracked]` float64, where the search for eigenvectors starts; no columns at first.
        step: Updates that training has made until here.
        rate: The training's learning rate.
    """

    theta: np.ndarray
    vectors: np.ndarray
    step: int
    rate: float

    @property
    def start(self) -> np.ndarray | None:
        """The vectors; None where there are none."""
        return self.vectors if self.vectors.size else None


class FlowBeside(Measure):
    """Follows a flow from the weights of the first moment on, one step of the flow per step of the training.

    Where the flow ends (its loss is not finite, or nothing holds its curvature) training goes on, and all figures are
    nan from then on.

    Args:
        quantities: Names of the figures.
    """

    def __init__(self, quantities: Mapping[str, Quantity]):
        self._quantities = list(quantities)
        self._position: Position | None = None

    def figures(self, moment: Moment) -> Sequence[Figure]:
        """See `Measure.figures`.

        Raises:
            UserError: The learning rate is another one than before.
        """
        theta = moment.objective.theta()
        network = FlatObjective(moment.objective, theta)
        weights = network.vector(theta).astype(np.float64)
        at = self._position
        if at is None or at.step > moment.step or at.theta.shape != weights.shape:  # another training
            at = Position(weights, np.zeros((len(weights), 0)), moment.step, moment.learning_rate)
        if at.rate != moment.learning_rate:
            raise UserError(
                f"the learning rate was {at.rate:g} and is {moment.learning_rate:g} now: the flow is at one rate."
            )
        try:
            self._position = at = self._followed(network, at, moment.step)
            values = self.seen(network, at, weights, moment)
        except FlowEndedError:
            self._position = at._replace(theta=np.full_like(at.theta, np.nan))
            values = {}
        return [Figure(name, values.get(name, np.nan)) for name in self._quantities]

    def _followed(self, network: FlatObjective, at: Position, step: int) -> Position:
        """The position after so many steps of the training."""
        if np.isnan(at.theta).any():
            raise FlowEndedError("the flow has ended.")
        while at.step < step:
            theta, vectors = self.advanced(network, at)
            at = at._replace(theta=theta, vectors=vectors, step=at.step + 1)
        return at

    @abstractmethod
    def advanced(self, network: FlatObjective, at: Position) -> tuple[np.ndarray, np.ndarray]:
        """(theta, vectors) one step on."""

    @abstractmethod
    def seen(
        self, network: FlatObjective, at: Position, weights: np.ndarray, moment: Moment
    ) -> dict[str, float]:
        """The figures by name.

        Args:
            network: The loss.
            at: The flow's position at the moment's step.
            weights: `[parameters]` float64, the training's.
            moment: The moment.
        """

    def state(self) -> dict[str, np.ndarray]:
        """The flow's position."""
        return (
            {} if self._position is None else {k: np.asarray(v) for k, v in self._position._asdict().items()}
        )

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes back `state`."""
        self._position = None
        if set(arrays) == set(Position._fields):
            step, rate = int(arrays["step"]), float(arrays["rate"])
            self._position = Position(arrays["theta"], arrays["vectors"], step, rate)
