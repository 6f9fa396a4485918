"""The eigenvalue solver that flows along a training take."""

import numpy as np

from tf_fullbatch.analysis.eigenvalues import Eigenpairs, eigenpairs
from tf_fullbatch.analysis.flows.flat_objective import EigenSolver, FlatObjective, FlowEndedError

TOLERANCE = 1e-4
"""Residual, as a share of the largest eigenvalue, at which an eigenpair is good enough."""


def warm_started(objective: FlatObjective, tolerance: float = TOLERANCE) -> EigenSolver:
    """`analysis.eigenvalues.eigenpairs` from the vectors of the step before; the same bits from the same of them.

    Args:
        objective: Whose Hessian it is.
        tolerance: Largest residual, as a share of the largest eigenvalue.

    Returns:
        A solver that raises `FlowEndedError` where it does not get there.
    """

    def solve(theta: np.ndarray, k: int, start: np.ndarray | None) -> Eigenpairs:
        # Products of matrices round by how these lie in memory, which a checkpoint does not keep.
        start = None if start is None else np.ascontiguousarray(start)
        found = eigenpairs(objective.hessian(theta), k, start=start, tolerance=tolerance)
        if not found.converged.all():
            raise FlowEndedError(
                f"the Hessian's {k} largest eigenvalues have residuals up to {found.residuals.max():.2g} after "
                f"{found.products} products, more than the tolerance of {tolerance:g}: raise the tolerance."
            )
        return found

    return solve
