"""Products of a symmetric operator with vectors, in float64, counted."""

import numpy as np
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from tf_fullbatch.errors import UserError


class Products:
    """A symmetric operator as a function of arrays in float64.

    An operator of a narrower type rounds its argument and its product; everything else stays in float64.

    Args:
        operator: Symmetric and real, such as a `core.operators.CurvatureOperator`; only `operator @ v` is asked.

    Attributes:
        size: Number of rows, n.
        made: Products with vectors so far.
        rounding: The machine epsilon of the operator's type.

    Raises:
        UserError: The operator is not square, has no rows, or is complex.
    """

    def __init__(self, operator: LinearOperator | np.ndarray):
        self._operator = aslinearoperator(operator)
        rows, columns = self._operator.shape
        if rows != columns or not rows:
            raise UserError(f"operator has the shape {(rows, columns)}: accepted are square symmetric ones.")
        dtype = np.result_type(self._operator.dtype, np.float32)
        if np.issubdtype(dtype, np.complexfloating):
            raise UserError(f"operator has the type {dtype}: accepted are real symmetric ones.")
        self.rounding = float(np.finfo(dtype).eps)
        self.size = int(rows)
        self.made = 0

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """The operator times vectors.

        Args:
            vectors: `[n]` or `[n, k]`.

        Returns:
            float64 of the same shape.

        Raises:
            UserError: A product is not finite.
        """
        found = np.asarray(self._operator @ vectors, np.float64)
        self.made += 1 if vectors.ndim == 1 else vectors.shape[1]
        if not np.isfinite(found).all():
            raise UserError(
                "a product of the operator with a vector is not finite: accepted are finite matrices; look at the "
                "loss and the weights that it was made at."
            )
        return found
