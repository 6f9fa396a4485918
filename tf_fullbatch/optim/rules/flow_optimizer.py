"""Flows as methods of descent: what the optimizers of all of them keep, and how they move the weights."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np

from tf_fullbatch.analysis.beginning import Beginning
from tf_fullbatch.analysis.flows.flat_objective import FlatObjective, FlowEndedError
from tf_fullbatch.analysis.flows.refusals import refuse_without_flow
from tf_fullbatch.analysis.stability import Stability
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import NoStepError, UserError
from tf_fullbatch.optim.descent import Accepted, At
from tf_fullbatch.optim.keras_adapter import OptimizerState
from tf_fullbatch.optim.rules.objective_optimizer import ObjectiveOptimizer


class Moved(NamedTuple):
    """A step of a flow.

    Attributes:
        theta: `[parameters]`, after it.
        vectors: `[parameters, tracked]`, the eigenvectors found last.
        evaluations: Gradient evaluations per sample spent.
    """

    theta: np.ndarray
    vectors: np.ndarray
    evaluations: float


class FlowOptimizer(ObjectiveOptimizer):
    """A flow whose step takes the time of one step of gradient descent at the learning rate.

    Kept are its position in float64, of which the weights are the rounded values, and the eigenvectors from which the
    next step's search starts: a fixed block of columns, of which `tracked` count.

    Args:
        learning_rate: Of gradient descent; a number, or a schedule that does not change it.
        kept_vectors: Columns of the block. Where more are tracked, the next step finds the others anew.
        tolerance: Residual, as a share of the largest eigenvalue, at which an eigenpair is good enough.
        name: Name of the optimizer.

    Raises:
        UserError: A value is out of its range.
    """

    third_derivatives: ClassVar[bool] = False
    """Whether the flow takes third derivatives of the loss."""

    def __init__(self, learning_rate: Any, *, kept_vectors: int, tolerance: float, name: str) -> None:
        if not (kept_vectors >= 1 and 0 < tolerance < 1):
            raise UserError(
                f"{name} with kept_vectors={kept_vectors} and tolerance={tolerance}: accepted are at least 1, and a "
                "number between 0 and 1."
            )
        super().__init__(learning_rate=learning_rate, name=name)
        self.kept_vectors = kept_vectors
        self.tolerance = tolerance

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the variables of the position and of the eigenvectors."""
        if self.built:
            return
        super().build(variables)
        size = sum(int(np.prod(v.shape)) for v in variables)
        self.position = self.add_variable((size,), "zeros", "float64", name="position")
        columns = min(self.kept_vectors, size)
        self.vectors = self.add_variable((size, columns), "zeros", "float64", name="vectors")
        self.tracked = self.add_variable((), "zeros", "int64", name="tracked")

    def moved(
        self, network: FlatObjective, theta: np.ndarray, rate: float, start: np.ndarray | None
    ) -> Moved:
        """One step.

        Args:
            network: The loss.
            theta: `[parameters]` float64.
            rate: The learning rate.
            start: `[parameters, tracked]`, the last step's vectors, at most `kept_vectors`; None at first.

        Raises:
            FlowEndedError: There is none.
        """
        raise NotImplementedError

    def stability(self, learning_rate: float) -> Stability | None:
        """The largest curvature that the flow goes to; None where there is no such bound."""
        raise NotImplementedError

    def descent(self, trainable: Sequence[keras.Variable]) -> "FlowDescent":
        """See `ObjectiveOptimizer`."""
        return FlowDescent(self, trainable)

    def refuse(self, training: Beginning) -> None:
        """See `ObjectiveOptimizer`; a flow is of one loss of the weights, at one rate."""
        try:
            refuse_without_flow(
                training, training.beside_the_method, third_derivatives=self.third_derivatives
            )
        except UserError as error:
            raise UserError(f"--optimizer={self.name}: {error}") from error

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "name": self.name,
            "learning_rate": super().get_config()["learning_rate"],
            "tolerance": self.tolerance,
        }


class FlowDescent(OptimizerState):
    """The steps of a `FlowOptimizer`, as a `descent.Descent`.

    Args:
        optimizer: Built.
        trainable: The variables that it was built for.
    """

    asks_objective: ClassVar[bool] = True

    def __init__(self, optimizer: FlowOptimizer, trainable: Sequence[keras.Variable]):
        super().__init__(optimizer)
        self._flow = optimizer
        self._trainable = list(trainable)

    @property
    def momentum(self) -> Tree | None:
        """None: a flow has no memory."""
        return None

    def stability(self, learning_rate: float, clip_factor: float) -> Stability | None:
        """See `FlowOptimizer.stability`; a flow is not clipped."""
        del clip_factor
        return self._flow.stability(learning_rate)

    def step(self, at: At, objective: Objective | None) -> Accepted:
        """See `Descent.step`; the gradient at the point is not asked for."""
        del at
        assert objective is not None
        flow = self._flow
        network = FlatObjective(objective, objective.theta())
        rate, tracked = float(self.learning_rate), int(flow.tracked.numpy())
        start = flow.vectors.numpy()[:, :tracked] if tracked else None
        try:
            made = flow.moved(network, self._position(network), rate, start)
            values = self._weights(network, made.theta)
        except FlowEndedError as error:
            step = int(self.steps_completed) + 1
            raise NoStepError(
                f"there is no step {step} of {flow.name}, and the weights of step {step - 1} are kept: {error}"
            ) from error
        self._assign(made, values)
        return Accepted(made.evaluations)

    def _position(self, network: FlatObjective) -> np.ndarray:
        """The flow's, where the weights are its rounded values; else the weights: nobody else has moved them then."""
        position, weights = self._flow.position.numpy(), [v.numpy() for v in self._trainable]
        rounded = [leaf.astype(w.dtype) for leaf, w in zip(network.tree(position), weights, strict=True)]
        if all(np.array_equal(a, b) for a, b in zip(rounded, weights, strict=True)):
            return position
        return network.vector(weights).astype(np.float64)

    def _weights(self, network: FlatObjective, theta: np.ndarray) -> list[np.ndarray]:
        with np.errstate(over="ignore"):
            leaves = zip(network.tree(theta), self._trainable, strict=True)
            values = [leaf.astype(v.numpy().dtype) for leaf, v in leaves]
        if not all(np.isfinite(value).all() for value in values):
            raise FlowEndedError(
                "the weights are not finite along the flow: lower the rate, or stop earlier."
            )
        return values

    def _assign(self, made: Moved, values: Sequence[np.ndarray]) -> None:
        flow = self._flow
        block = np.zeros(flow.vectors.shape)
        tracked = min(block.shape[1], made.vectors.shape[1])
        block[:, :tracked] = made.vectors[:, :tracked]
        for variable, value in zip(self._trainable, values, strict=True):
            variable.assign(value)
        flow.position.assign(made.theta)
        flow.vectors.assign(block)
        flow.tracked.assign(tracked)
        flow.iterations.assign(flow.iterations.numpy() + 1)
