"""The plane that a training's checkpoints lie in best, their path in it, and what the plane hides of their losses."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.values import value
from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError


class Plane(NamedTuple):
    """The principal directions of a path of T checkpoints, about its last one.

    Attributes:
        centre: Tree, the last checkpoint's weights.
        directions: Trees of length 1, orthogonal to each other, that of the largest variance first.
        coordinates: `[T, directions]`, of each checkpoint's projection; the last one's are 0.
        explained_variance: `[directions]`, of each the share of `sum_t |w_t - w_T|^2`.
        distances: `[T]`, of each checkpoint from the plane, the length of what the projection leaves out.
    """

    centre: Tree
    directions: list[Tree]
    coordinates: np.ndarray
    explained_variance: np.ndarray
    distances: np.ndarray


class PathLosses(NamedTuple):
    """Losses along a path.

    Attributes:
        path: `[T]`, at the checkpoints themselves.
        plane: `[T]`, at their projections, which are what a picture of the plane shows beneath the path.
    """

    path: np.ndarray
    plane: np.ndarray


def plane_of(checkpoints: Sequence[Sequence[tf.Tensor]], count: int = 2) -> Plane:
    """Principal directions of the differences `w_t - w_T`, the rows of a matrix M of T rows.

    They are the right singular vectors of M, by the eigenvectors u_i of the Gram matrix `M M^T` (T x T):
    `v_i = M^T u_i / sigma_i`. Rows are about the last weights, not about their mean, so that the end of training lies
    in the plane and is its origin. Each v_i points to where the path is farthest out along it.

    Args:
        checkpoints: Trees, in the order of training. It may load them when it is indexed: none but two are held at a
            time, and each is asked for about T times.
        count: How many directions.

    Returns:
        The plane; directions and centre in the weights' dtypes.

    Raises:
        UserError: There are not more checkpoints than directions, or they lie in a space of fewer.

    Source: Li et al. 2018 (arXiv 1712.09913), section 7; Lorch 2016, Visualizing deep network training trajectories
        with PCA. Method of snapshots: Sirovich 1987.
    """
    if not 1 <= count < len(checkpoints):
        raise UserError(
            f"{len(checkpoints)} checkpoints for {count} directions: a path takes more checkpoints than directions."
        )
    centre = [tf.convert_to_tensor(leaf) for leaf in checkpoints[len(checkpoints) - 1]]
    gram = _gram(checkpoints, centre)
    squares, vectors = (found[..., ::-1] for found in np.linalg.eigh(gram))
    total = float(np.trace(gram))
    if not squares[count - 1] > len(gram) * np.finfo(float).eps * max(total, np.finfo(float).tiny):
        raise UserError(
            f"the checkpoints span fewer than {count} directions: their weights differ too little. Ask for fewer."
        )
    kept = vectors[:, :count]
    kept = kept * np.sign(kept[np.argmax(np.abs(kept), axis=0), np.arange(count)])
    lengths = np.sqrt(squares[:count])
    coordinates = kept * lengths
    left = np.maximum(np.diag(gram) - np.sum(coordinates**2, axis=1), 0)
    directions = _combined(checkpoints, centre, kept / lengths)
    return Plane(centre, directions, coordinates, squares[:count] / total, np.sqrt(left))


def path_losses(objective: Objective, checkpoints: Sequence[Sequence[tf.Tensor]], plane: Plane) -> PathLosses:
    """The losses of the checkpoints, and those of their projections into the plane.

    Where the two part, the plane's picture tells little of the training. With "frozen" statistics all are taken with
    the network's present moving averages, not those that a checkpoint had.

    Args:
        objective: Of the samples that count.
        checkpoints: As `plane_of` got them.
        plane: Its outcome.
    """
    path, beneath = [], []
    for checkpoint, coordinates in zip(checkpoints, plane.coordinates, strict=True):
        path.append(value(objective, checkpoint).loss)
        beneath.append(value(objective, projected(plane, coordinates)).loss)
    return PathLosses(np.array(path), np.array(beneath))


def projected(plane: Plane, coordinates: Sequence[float] | np.ndarray) -> Tree:
    """The weights at a place of the plane."""
    point = plane.centre
    for coordinate, direction in zip(coordinates, plane.directions, strict=True):
        point = trees.add_scaled(point, float(coordinate), direction)
    return point


def _difference(checkpoint: Sequence[tf.Tensor], centre: Tree) -> list[np.ndarray]:
    """In float64: what float32 weights differ by is exact there."""
    return [
        np.asarray(a, np.float64) - np.asarray(b, np.float64) for a, b in zip(checkpoint, centre, strict=True)
    ]


def _gram(checkpoints: Sequence[Sequence[tf.Tensor]], centre: Tree) -> np.ndarray:
    """`M M^T`, two rows of M at a time."""
    size = len(checkpoints)
    gram = np.zeros([size, size])
    for t in range(size - 1):
        row = _difference(checkpoints[t], centre)
        for s in range(t + 1):
            other = row if s == t else _difference(checkpoints[s], centre)
            gram[t, s] = gram[s, t] = sum(np.vdot(a, b) for a, b in zip(row, other, strict=True))
    return gram


def _combined(checkpoints: Sequence[Sequence[tf.Tensor]], centre: Tree, weights: np.ndarray) -> list[Tree]:
    """Sums of M's rows by the columns of `weights` `[T, sums]`."""
    sums = [[np.zeros(tuple(leaf.shape)) for leaf in centre] for _ in range(weights.shape[1])]
    for checkpoint, shares in zip(checkpoints, weights, strict=True):
        row = _difference(checkpoint, centre)
        for total, share in zip(sums, shares, strict=True):
            for leaf, difference in zip(total, row, strict=True):
                leaf += share * difference
    return [[tf.cast(leaf, c.dtype) for leaf, c in zip(total, centre, strict=True)] for total in sums]
