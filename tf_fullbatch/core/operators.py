"""A curvature as SciPy has matrices: a symmetric operator on vectors of parameters."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from scipy.sparse.linalg import LinearOperator

from tf_fullbatch.core.trees import Tree


class CurvatureOperator(LinearOperator):
    """A symmetric matrix known by its products with trees, on vectors of all parameters, one leaf after the other.

    Args:
        products: Trees -> trees, the product of each, linear and symmetric.
        variables: The variables whose values a tree lists, in order.
        only: Positions of some of the variables: the block of the matrix that is theirs alone. None for all.

    Attributes:
        products: Products with vectors made so far.
        variables: Those whose parameters a vector has.
    """

    def __init__(
        self,
        products: Callable[[list[Tree]], list[Tree]],
        variables: Sequence[tf.Variable],
        only: Sequence[int] | None = None,
    ):
        self._products = products
        self._every = list(variables)
        self._only = list(range(len(variables))) if only is None else list(only)
        self.variables = [self._every[i] for i in self._only]
        self.products = 0
        size = sum(self.sizes)
        super().__init__(np.result_type(*(_numpy_dtype(v) for v in self.variables)), (size, size))

    @property
    def sizes(self) -> list[int]:
        """Numbers of parameters of the variables."""
        return [int(np.prod(v.shape)) for v in self.variables]

    def tree(self, vector: np.ndarray) -> list[np.ndarray]:
        """A vector `[parameters]` as a tree of all variables; zeros in those that are not of the block."""
        cuts = np.split(np.ravel(vector), np.cumsum(self.sizes)[:-1])
        leaves = [np.zeros(tuple(v.shape), _numpy_dtype(v)) for v in self._every]
        for i, cut in zip(self._only, cuts, strict=True):
            leaves[i] = np.reshape(cut, tuple(self._every[i].shape))
        return leaves

    def vector(self, tree: Sequence[np.ndarray | tf.Tensor]) -> np.ndarray:
        """The inverse of `tree`, in the operator's dtype; leaves that are not of the block are left out."""
        return np.concatenate([np.ravel(tree[i]).astype(self.dtype) for i in self._only])

    def _matmat(self, vectors: np.ndarray) -> np.ndarray:
        self.products += vectors.shape[1]
        found = self._products([self.tree(vector) for vector in vectors.T])
        return np.stack([self.vector(tree) for tree in found], axis=1)

    def _matvec(self, vector: np.ndarray) -> np.ndarray:
        return self._matmat(np.reshape(vector, (-1, 1)))[:, 0]

    _rmatmat, _rmatvec = _matmat, _matvec


def _numpy_dtype(variable: tf.Variable) -> type[np.generic]:
    return tf.as_dtype(variable.dtype).as_numpy_dtype
