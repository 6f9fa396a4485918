"""An objective seen from vectors of all parameters, and what flows ask of one."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.sparse.linalg import LinearOperator

from tf_fullbatch.errors import UserError


class FlowEndedError(UserError):
    """A flow cannot be followed further from where it stands."""


class Differentiable(Protocol):
    """What flows ask of an objective: three derivatives. `core.objective.Objective` has them; so may a toy function.

    Attributes:
        evaluations: Gradient evaluations spent so far.
    """

    evaluations: float

    def value_and_gradient(self, theta: Sequence[Any]) -> Any:
        """What has the loss as `loss`, and its gradient, a tree, as `gradient`."""

    def hvps(self, theta: Sequence[Any], directions: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """Trees, `H(theta) v` of each direction v."""

    def hessian_derivative(self, theta: Sequence[Any], u: Sequence[Any], v: Sequence[Any]) -> Sequence[Any]:
        """Tree, the gradient of `u^T H(theta) v` in theta."""


class Slope(NamedTuple):
    """A loss and its gradient.

    Attributes:
        loss: Without penalties.
        gradient: `[parameters]`.
    """

    loss: float
    gradient: np.ndarray


class Pairs(Protocol):
    """Eigenvalues and eigenvectors, in any order."""

    @property
    def values(self) -> np.ndarray:
        """`[k]`."""

    @property
    def vectors(self) -> np.ndarray:
        """`[parameters, k]`."""


EigenSolver = Callable[[np.ndarray, int, np.ndarray | None], Pairs]
"""(theta `[parameters]`, k, start `[parameters, at most k]` or None) -> the k largest eigenvalues of the Hessian at
theta, by sign and not by magnitude."""


class FlatObjective:
    """An objective's derivatives at vectors `[parameters]`, one leaf after the other, as `CurvatureOperator` has them.

    Vectors may be wider than the objective's weights: a flow in float64 whose loss is taken in float32.

        network = FlatObjective(objective, objective.theta())

        def largest(theta, k, start):  # an `EigenSolver`
            return eigenpairs(network.hessian(theta), k, start=start)

    Args:
        objective: What is differentiated.
        like: Tree whose leaves have the parameters' shapes, such as `objective.theta()`.
    """

    def __init__(self, objective: Differentiable, like: Sequence[Any]):
        self._objective = objective
        self._shapes = [np.shape(leaf) for leaf in like]
        self._ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        self._dtype = np.result_type(*map(np.asarray, like))

    @property
    def evaluations(self) -> float:
        """Gradient evaluations that the objective has spent so far."""
        return self._objective.evaluations

    @property
    def size(self) -> int:
        """Number of parameters."""
        return int(self._ends[-1])

    def vector(self, tree: Sequence[Any]) -> np.ndarray:
        """A tree as a vector `[parameters]`, in the widest of its leaves' dtypes."""
        return np.concatenate([np.ravel(leaf) for leaf in tree])

    def tree(self, vector: np.ndarray) -> list[np.ndarray]:
        """The inverse of `vector`.

        Raises:
            UserError: The vector's shape is not `[parameters]`.
        """
        if np.shape(vector) != (self.size,):
            raise UserError(
                f"theta has the shape {np.shape(vector)}, but there are {self.size} parameters: give one vector of all."
            )
        cuts = np.split(vector, self._ends[:-1])
        return [cut.reshape(shape) for cut, shape in zip(cuts, self._shapes, strict=True)]

    def value_and_gradient(self, theta: np.ndarray) -> Slope:
        """Loss and gradient.

        Raises:
            FlowEndedError: They are not finite: whatever follows this flow has left the region where it means
                something.
        """
        point = self._objective.value_and_gradient(self.tree(theta))
        slope = Slope(float(point.loss), self.vector(point.gradient))
        if not (np.isfinite(slope.loss) and np.isfinite(slope.gradient).all()):
            raise FlowEndedError(
                "the loss or its gradient is not finite along the flow: lower the rate, or stop earlier."
            )
        return slope

    def hvps(self, theta: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """`H(theta) V`, `[parameters, k]`, of directions V of that shape, one in a column.

        Raises:
            FlowEndedError: It is not finite.
        """
        found = self._objective.hvps(self.tree(theta), [self.tree(v) for v in directions.T])
        products = np.stack([self.vector(tree) for tree in found], axis=1)
        if not np.isfinite(products).all():
            raise FlowEndedError("the Hessian is not finite along the flow: lower the rate, or stop earlier.")
        return products

    def hvp(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """`H(theta) v`, `[parameters]`; see `hvps`."""
        return self.hvps(theta, v[:, None])[:, 0]

    def hessian(self, theta: np.ndarray) -> LinearOperator:
        """The Hessian at theta as SciPy has matrices, in the dtype of the objective's weights."""
        return LinearOperator(
            (self.size, self.size),
            matvec=lambda v: self.hvp(theta, np.ravel(v)),
            matmat=lambda v: self.hvps(theta, v),
            dtype=self._dtype,
        )

    def hessian_derivative(self, theta: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The gradient of `u^T H(theta) v` in theta, `[parameters]`."""
        product = self._objective.hessian_derivative(self.tree(theta), self.tree(u), self.tree(v))
        return self.vector(product)


class LargestPairs(NamedTuple):
    """Some of the largest eigenvalues of a Hessian.

    Attributes:
        values: `[k]`, largest first.
        vectors: `[parameters, k]`, of length 1.
    """

    values: np.ndarray
    vectors: np.ndarray


def largest_pairs(
    eigenpairs: EigenSolver, theta: np.ndarray, k: int, start: np.ndarray | None
) -> LargestPairs:
    """What a solver finds, largest first.

    Args:
        eigenpairs: The solver.
        theta: `[parameters]`.
        k: How many.
        start: `[parameters, at most k]`, eigenvectors nearby; None where none are known.

    Raises:
        UserError: It gave another number of pairs.
        FlowEndedError: Some are not finite.
    """
    found = eigenpairs(theta, k, start)
    values, vectors = np.asarray(found.values, np.float64), np.asarray(found.vectors, np.float64)
    if values.shape != (k,) or vectors.shape != (len(theta), k):
        raise UserError(
            f"eigenpairs gave arrays of shapes {values.shape} and {vectors.shape}: values [{k}] and vectors "
            f"[{len(theta)}, {k}] were asked for."
        )
    if not (np.isfinite(values).all() and np.isfinite(vectors).all()):
        raise FlowEndedError(
            "the Hessian's eigenvalues are not finite along the flow: lower the rate, or stop earlier."
        )
    order = np.argsort(-values, kind="stable")
    return LargestPairs(values[order], vectors[:, order])
