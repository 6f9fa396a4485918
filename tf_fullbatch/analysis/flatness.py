"""How much the loss rises around weights: at worst in a ball, and on average over Gaussian noise; plain or adaptive."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.directions import gaussian
from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError

NORMS = ("l2", "inf")
"""Norms of a ball."""


class WorstCase(NamedTuple):
    """The largest rise of the loss that was found in a ball.

    Attributes:
        sharpness: `L(w + delta) - L(w)`; not negative, and never above the ball's true maximum.
        perturbation: Tree, the delta found.
        rises: `[steps]`, `L - L(w)` at each place that was tried.
    """

    sharpness: float
    perturbation: Tree
    rises: np.ndarray


class AverageCase(NamedTuple):
    """The mean rise of the loss over random perturbations.

    Attributes:
        sharpness: The mean over the draws.
        standard_error: Of the mean; nan of a single draw.
        rises: `[draws]`, the mean rise at `w + delta` and `w - delta`.
    """

    sharpness: float
    standard_error: float
    rises: np.ndarray


def worst_case_sharpness(
    objective: Objective,
    theta: Sequence[tf.Tensor],
    rho: float,
    *,
    adaptive: bool = False,
    norm: str = "l2",
    steps: int = 20,
    seed: int = 0,
) -> WorstCase:
    """The loss's largest rise within reach: `max L(w + delta) - L(w)` over `|delta / s|_p <= rho`, found by ascent.

    s is 1, or |w| elementwise where it is adaptive: then what rescales weights without changing the network (a
    rectified layer's in one way, the next one's in the other) does not change the sharpness, and weights of 0 stay so.

    Ascent is by conditional gradients in `u = delta / s`, whose ball is convex: with `g = s grad L(w + s u)` it goes
    from u towards `rho g / |g|_2` (of the norm "inf": `rho sign(g)`), all the way as long as the loss rises, else from
    the best place so far half as far as before. So one step is SAM's perturbation, or ASAM's, and on a convex quadratic
    the steps are those of a power iteration.

    Args:
        objective: Of the samples that count: all of them at once (of m-sharpness, m is the whole set).
        theta: Tree, w.
        rho: Radius of the ball, above 0; of the adaptive one relative to the weights.
        adaptive: Measure delta by |w|.
        norm: "l2" or "inf", p of the ball.
        steps: Places tried; each costs a gradient evaluation, and one more the first.
        seed: Of the direction to go where the gradient is exactly 0.

    Raises:
        UserError: rho or steps are not positive, the norm is unknown, or theta does not fit the variables.

    Source: Foret et al. 2021 (arXiv 2010.01412), equation 2, one step; Kwon et al. 2021 (arXiv 2102.11600), section 3,
        adaptive sharpness, here without the eta that their code adds to |w|; Andriushchenko et al. 2023
        (arXiv 2302.07011), worst-case adaptive sharpness with c = |w|, by 20 steps of another ascent (Auto-PGD).
    """
    _refuse(rho, "steps", steps)
    if norm not in NORMS:
        raise UserError(f"norm={norm!r}: accepted are {', '.join(NORMS)}.")
    w, scale = _weights_and_scale(theta, adaptive)
    point = objective.value_and_gradient(w)
    lowest = highest = float(point.loss)
    u, slope = trees.scale(0.0, w), _times(scale, point.gradient)
    share, rises = 1.0, []
    for step in range(steps):
        upwards = slope if float(trees.squared_norm(slope)) else _drawn(w, seed, step)
        target = _farthest(upwards, rho, norm)
        tried = trees.add_scaled(u, share, trees.subtract(target, u))
        point = objective.value_and_gradient(_moved(w, scale, tried))
        rises.append(float(point.loss) - lowest)
        if float(point.loss) > highest:
            highest, u, slope = float(point.loss), tried, _times(scale, point.gradient)
        else:
            share /= 2
    return WorstCase(highest - lowest, _times(scale, u), np.array(rises))


def average_case_sharpness(
    objective: Objective,
    theta: Sequence[tf.Tensor],
    rho: float,
    *,
    adaptive: bool = False,
    draws: int = 50,
    seed: int = 0,
) -> AverageCase:
    """The loss's mean rise under Gaussian noise: `E L(w + delta) - L(w)`, `delta ~ N(0, rho^2 diag(s^2))`.

    s is 1, or |w| elementwise where it is adaptive, as of `worst_case_sharpness`. For small rho it is
    `rho^2 / 2 tr(diag(s) H diag(s))`. Each draw is taken with both signs, which leaves the mean as it is and rids it of
    the slope's noise; the noise is a function of the seed and the shapes, the same for networks that are compared.

    Args:
        objective: Of the samples that count.
        theta: Tree, w.
        rho: Standard deviation of each weight's noise, above 0, in units of s: the length of delta is about
            `rho sqrt(parameters)`, another scale than the ball's.
        adaptive: Noise proportional to |w|.
        draws: How many pairs; each costs two forward passes.
        seed: Of the draws, 0 or more.

    Raises:
        UserError: rho or draws are not positive, the seed is negative, or theta does not fit the variables.

    Source: Andriushchenko et al. 2023 (arXiv 2302.07011), average-case adaptive sharpness with c = |w|.
    """
    _refuse(rho, "draws", draws)
    w, scale = _weights_and_scale(theta, adaptive)
    lowest = float(objective.loss(w))
    rises = np.zeros(draws)
    for number in range(draws):
        noise = _drawn(w, seed, number)
        both = [float(objective.loss(_moved(w, scale, trees.scale(sign * rho, noise)))) for sign in (1, -1)]
        rises[number] = sum(both) / 2 - lowest
    error = float(np.std(rises, ddof=1)) / math.sqrt(draws) if draws > 1 else math.nan
    return AverageCase(float(np.mean(rises)), error, rises)


def _refuse(rho: float, name: str, count: int) -> None:
    if not 0 < rho < math.inf:
        raise UserError(f"rho={rho}: a sharpness takes a radius above 0.")
    if count < 1:
        raise UserError(f"{name}={count}: a sharpness takes 1 or more.")


def _weights_and_scale(theta: Sequence[tf.Tensor], adaptive: bool) -> tuple[Tree, Tree]:
    w = [tf.convert_to_tensor(leaf) for leaf in theta]
    return w, [tf.abs(leaf) if adaptive else tf.ones_like(leaf) for leaf in w]


def _drawn(w: Tree, seed: int, number: int) -> Tree:
    return [tf.cast(z, leaf.dtype) for z, leaf in zip(gaussian(w, seed, number), w, strict=True)]


def _farthest(slope: Tree, rho: float, norm: str) -> Tree:
    """Where a linear function of this slope is largest in the ball."""
    if norm == "inf":
        return [rho * tf.sign(leaf) for leaf in slope]
    return trees.scale(rho / trees.global_norm(slope), slope)


def _times(x: Tree, y: Tree) -> Tree:
    return [a * b for a, b in zip(x, y, strict=True)]


def _moved(w: Tree, scale: Tree, u: Tree) -> Tree:
    return [a + s * b for a, s, b in zip(w, scale, u, strict=True)]
