"""The loss around weights: along a direction, in a plane, or at any grid; what is known is not computed again."""

import functools
import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.surfaces import Coordinates, Surface, axis
from tf_fullbatch.analysis.values import value
from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError

Progress = Callable[[Surface], None]
"""Told of a surface after each point, to save it or to show how far it is; the same arrays each time, as they fill."""


def surface(
    objective: Objective,
    theta: Sequence[tf.Tensor],
    directions: Sequence[Sequence[tf.Tensor]],
    coordinates: Coordinates | None = None,
    *,
    known: Surface | None = None,
    progress: Progress | None = None,
) -> Surface:
    """The loss at `theta + a d_1` or `theta + a d_1 + b d_2`, over a grid of a (and b).

    `objective.statistics` says what batch normalisation does at points that were never trained. Li et al. keep the
    centre's statistics ("frozen"), which elsewhere fit no longer; "recalibrated" takes those of each point, and "batch"
    is the function that training descends. Each point is one forward pass over the set, of "recalibrated" two.

    Args:
        objective: Of the samples that count.
        theta: Tree, the weights at the centre.
        directions: One or more trees, see `directions.random_directions` and `paths.plane_of`.
        coordinates: Of each direction the points along it; None for 51 on [-1, 1].
        known: An earlier surface of the same grid, weights and statistics: only the points whose loss is nan are
            computed. That the samples are the same, and the moving averages of "frozen" ones, is the caller's to know.
        progress: Called after each point.

    Returns:
        The surface; where a coordinate of every direction is 0 its loss is the objective's at theta.

    Raises:
        UserError: There is no direction, or not as many axes as directions; `known` is of another grid; theta or a
            direction does not fit the variables.

    Source: Goodfellow et al. 2015 (arXiv 1412.6544); Li et al. 2018 (arXiv 1712.09913), equation 1.
    """
    axes: Coordinates = [axis() for _ in directions] if coordinates is None else coordinates
    if not directions or len(axes) != len(directions):
        raise UserError(
            f"{len(axes)} axes for {len(directions)} directions: give each direction its coordinates, one or more."
        )

    def at(*place: float) -> Tree:
        return functools.reduce(
            lambda point, step: trees.add_scaled(point, *step),
            zip(place, directions, strict=True),
            [tf.convert_to_tensor(leaf) for leaf in theta],
        )

    return sampled_surface(objective, at, axes, digest(theta, *directions), known=known, progress=progress)


def sampled_surface(
    objective: Objective,
    at: Callable[..., Tree],
    coordinates: Coordinates,
    of: str,
    *,
    known: Surface | None = None,
    progress: Progress | None = None,
) -> Surface:
    """The loss at weights that are a function of coordinates.

    Args:
        objective: Of the samples that count.
        at: A coordinate of each axis -> tree.
        coordinates: Of each axis the points along it.
        of: A digest of what `at` is made of, so that nothing else is gone on from.
        known: An earlier surface of the same grid: only what it lacks is computed.
        progress: Called after each point.

    Raises:
        UserError: `known` is of another grid; the weights do not fit the variables.
    """
    found = Surface.empty(coordinates, objective.statistics, of).going_on_from(known)
    for index in found.lacking():
        place = (float(axis[i]) for axis, i in zip(found.coordinates, index, strict=True))
        found.loss[index], found.accuracy[index] = value(objective, at(*place))
        if progress is not None:
            progress(found)
    return found


def digest(*weights: Sequence[tf.Tensor]) -> str:
    """A short name of some trees' exact values."""
    found = hashlib.sha256()
    for tree in weights:
        for leaf in tree:
            array = np.ascontiguousarray(leaf)
            found.update(f"{array.dtype}{array.shape}".encode())
            found.update(array.tobytes())
    return found.hexdigest()[:16]
