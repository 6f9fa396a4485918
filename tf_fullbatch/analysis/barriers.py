"""How high the loss rises along a path between two trained networks; no TensorFlow."""

from typing import NamedTuple

import numpy as np

from tf_fullbatch.analysis.surfaces import Surface
from tf_fullbatch.errors import UserError

CONNECTED_BELOW = 0.02
"""Error barrier below which two networks are linearly connected (Frankle et al. 2020, section 2)."""


class Barrier(NamedTuple):
    """What a path between two networks rises to.

    Attributes:
        loss: `max_a L(a) - ((1 - a) L(0) + a L(1))`, at least 0 (Entezari et al. 2022, arXiv 2110.06296, section 2).
        error: `max_a E(a) - (E(0) + E(1)) / 2`, of the error E = 1 - accuracy, a share of the samples (Frankle et al.
            2020, arXiv 1912.05671, section 2); nan where accuracy has no meaning.
        highest: The largest loss of the path.
        mean: The mean loss of the path, by the trapezoidal rule.
    """

    loss: float
    error: float
    highest: float
    mean: float

    @property
    def connected(self) -> bool:
        """Whether the error barrier is below 2 % of the samples: linear mode connectivity, where the path is a line."""
        return self.error < CONNECTED_BELOW


def barrier_of(path: Surface) -> Barrier:
    """What a path of one axis rises to.

    Args:
        path: Of `line_losses` or `curve_losses`, complete.

    Raises:
        UserError: It has more axes than one, or points that are not computed.
    """
    if len(path.coordinates) != 1:
        raise UserError(f"a barrier is of a path, but this surface has {len(path.coordinates)} axes.")
    if np.isnan(path.loss).any():
        raise UserError("a barrier takes the whole path: some of its points are not computed, or nan.")
    (a,) = path.coordinates
    chord = (1 - a) * path.loss[0] + a * path.loss[-1]
    error = 1 - path.accuracy
    return Barrier(
        loss=float(np.max(path.loss - chord)),
        error=float(np.max(error) - (error[0] + error[-1]) / 2),
        highest=float(np.max(path.loss)),
        mean=float(np.trapezoid(path.loss, a)),
    )
