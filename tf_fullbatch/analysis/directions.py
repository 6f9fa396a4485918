"""Random directions in the space of weights, scaled as the weights are, that several networks can share."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.filters import Axes, last_axis
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError

NORMALISATIONS = ("filter", "layer", "none")
"""What of a direction gets the norm of the weights: each filter, each variable, or nothing."""

_SAFE = 1e-10


def gaussian(like: Sequence[tf.Tensor], seed: int, number: int = 0) -> list[np.ndarray]:
    """Standard normal draws, float64, a function of seed, number, and the leaves' order and shapes alone.

    Args:
        like: Tree, whose shapes the draws have.
        seed: Not negative.
        number: Which of the seed's directions.

    Raises:
        UserError: The seed is negative.
    """
    if seed < 0:
        raise UserError(f"seed={seed}: a direction takes a seed of 0 or more.")
    return [
        np.random.default_rng((seed, number, i)).standard_normal(tuple(leaf.shape))
        for i, leaf in enumerate(like)
    ]


def normalised(
    direction: Sequence[np.ndarray],
    theta: Sequence[tf.Tensor],
    how: str = "filter",
    axes: Sequence[Axes] | None = None,
) -> list[np.ndarray]:
    """A direction with the norms of the weights: `d_f <- d_f |w_f| / (|d_f| + 1e-10)` for every filter f.

    It takes away the scale that weights before a normalisation, or of a rectified network, are free to have: surfaces
    of several networks can be compared. Variables of fewer than two axes (biases, scales and offsets of
    normalisations) get zeros, as in the paper's code ("biasbn").

    Args:
        direction: Tree, such as `gaussian`'s.
        theta: Tree, the weights.
        how: "filter"; "layer", where all of a variable is one filter; "none", which scales nothing and leaves no
            variable out.
        axes: The axes that number each variable's filters (`filters.filter_axes(network)`); None for the last one.

    Returns:
        Tree, float64.

    Raises:
        UserError: `how` is unknown.

    Source: Li et al. 2018 (arXiv 1712.09913), section 4.
    """
    if how not in NORMALISATIONS:
        raise UserError(f"normalise={how!r}: accepted are {', '.join(NORMALISATIONS)}.")
    if how == "none":
        return [np.array(d, np.float64) for d in direction]
    axes = last_axis([leaf.shape for leaf in theta]) if axes is None else axes
    found = []
    for d, leaf, named in zip(direction, theta, axes, strict=True):
        w = np.asarray(leaf, np.float64)
        within = tuple(a for a in range(w.ndim) if how == "layer" or a not in named)
        scale = _norm(w, within) / (_norm(d, within) + _SAFE) if w.ndim > 1 else 0.0
        found.append(d * scale)
    return found


def orthogonal(direction: Sequence[np.ndarray], others: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """A direction without its parts along others that are orthogonal to each other, of the length it had.

    Args:
        direction: Tree.
        others: Trees.

    Raises:
        UserError: Nothing is left of the direction.
    """
    before = _length(direction)
    left = [np.array(d, np.float64) for d in direction]
    for _ in range(2):  # what the first round leaves by rounding
        for other in others:
            share = _dot(left, other) / _dot(other, other)
            left = [d - share * o for d, o in zip(left, other, strict=True)]
    after = _length(left)
    if not after > 1e-8 * before:
        raise UserError("a direction lies in the span of those before it: ask for fewer directions.")
    return [before / after * d for d in left]


def random_directions(
    theta: Sequence[tf.Tensor],
    seed: int,
    *,
    count: int = 2,
    normalise: str = "filter",
    axes: Sequence[Axes] | None = None,
) -> list[Tree]:
    """Random directions for `landscape.surface`, each orthogonal to those before it.

    Networks of the same shapes share the draws of a seed, whatever their weights are. To be made orthogonal changes the
    norms of a later direction's filters by about 1/sqrt(parameters) of their size; its whole norm stays.

    Args:
        theta: Tree, the weights.
        seed: Of the draws, 0 or more.
        count: How many.
        normalise: As of `normalised`.
        axes: As of `normalised`.

    Returns:
        Trees in the weights' dtypes.

    Raises:
        UserError: `normalise` is unknown, the seed is negative, or a direction is zero (the weights are).
    """
    found: list[list[np.ndarray]] = []
    for number in range(count):
        direction = normalised(gaussian(theta, seed, number), theta, normalise, axes)
        if not _length(direction):
            raise UserError(
                f"normalise={normalise!r} makes a direction of zeros: every variable of two or more axes is zero. "
                "Take 'none'."
            )
        found.append(orthogonal(direction, found))
    return [[tf.cast(d, leaf.dtype) for d, leaf in zip(tree, theta, strict=True)] for tree in found]


def _norm(x: np.ndarray, axes: Axes) -> np.ndarray:
    return np.sqrt(np.sum(np.square(x), axis=axes, keepdims=True))


def _dot(x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> float:
    return sum(float(np.vdot(a, b)) for a, b in zip(x, y, strict=True))


def _length(x: Sequence[np.ndarray]) -> float:
    return float(np.sqrt(_dot(x, x)))
