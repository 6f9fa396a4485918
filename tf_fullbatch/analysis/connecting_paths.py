"""Paths between two trained networks: the straight line, and a curve trained to avoid what is high on it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.landscape import Progress, digest, sampled_surface
from tf_fullbatch.analysis.surfaces import Surface
from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError

POINTS = 25
"""Points of a path, its ends among them."""


class Curve(NamedTuple):
    """A quadratic Bezier curve `(1 - t)^2 w_0 + 2 t (1 - t) c + t^2 w_1`.

    Attributes:
        start: Tree, w_0.
        control: Tree, c.
        end: Tree, w_1.
    """

    start: Tree
    control: Tree
    end: Tree

    def at(self, t: float) -> Tree:
        """The weights at 0 <= t <= 1; the ends exactly."""
        shares = ((1 - t) ** 2, 2 * t * (1 - t), t**2)
        return [
            tf.add_n([trees.scalar(s, leaf.dtype) * leaf for s, leaf in zip(shares, leaves, strict=True)])
            for leaves in zip(self.start, self.control, self.end, strict=True)
        ]


class TrainedCurve(NamedTuple):
    """A curve whose control point was trained.

    Attributes:
        curve: The curve after the last step.
        losses: `[steps]`, the curve's mean loss before each step, at the places t that the step looked at.
    """

    curve: Curve
    losses: np.ndarray


def line_losses(
    objective: Objective,
    start: Sequence[tf.Tensor],
    end: Sequence[tf.Tensor],
    points: int = POINTS,
    *,
    known: Surface | None = None,
    progress: Progress | None = None,
) -> Surface:
    """The loss on the line `(1 - a) w_0 + a w_1`.

    Take an objective with "recalibrated" statistics where there is batch normalisation: neither end's averages fit
    the weights between them.

    Args:
        objective: Of the samples that count; Frankle et al. look at test and at training samples.
        start: Tree, w_0.
        end: Tree, w_1.
        points: Evenly spaced from a = 0 to 1, 2 or more.
        known: An earlier outcome: only what it lacks is computed.
        progress: Called after each point.

    Returns:
        A surface of one axis, a.

    Raises:
        UserError: `known` is of something else; the trees do not fit the variables; there are too few points.
    """
    w_0, w_1 = _tensors(start), _tensors(end)

    def at(a: float) -> Tree:
        return trees.add_scaled(trees.scale(1 - a, w_0), a, w_1)

    return _losses_between(objective, at, points, digest(w_0, w_1), known, progress)


def curve_losses(
    objective: Objective,
    curve: Curve,
    points: int = POINTS,
    *,
    known: Surface | None = None,
    progress: Progress | None = None,
) -> Surface:
    """The loss on a curve, at evenly spaced t from 0 to 1; otherwise as `line_losses`."""
    return _losses_between(objective, curve.at, points, digest(*curve), known, progress)


def trained_curve(
    objective: Objective,
    start: Sequence[tf.Tensor],
    end: Sequence[tf.Tensor],
    *,
    steps: int,
    learning_rate: float,
    momentum: float = 0.9,
    nodes: int = 5,
    seed: int | None = None,
    control: Sequence[tf.Tensor] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> TrainedCurve:
    """A Bezier curve of low loss between two networks, its control point trained by full-batch gradient steps.

    The mean loss of the curve `f(c) = int_0^1 L(B_c(t)) dt` has the gradient `int_0^1 2 t (1 - t) grad L(B_c(t)) dt`.
    Each step takes it by Gauss and Legendre's rule over `nodes` places, which are the same in every step, or, given a
    seed, at one place t ~ U(0, 1) as the paper does; the same arguments give the same curve. Heavy ball:
    `m <- momentum m + gradient; c <- c - learning_rate m`.

    Args:
        objective: Of the samples to train on, with "batch" statistics.
        start: Tree, w_0.
        end: Tree, w_1.
        steps: How many; each costs as many gradient evaluations as it looks at places.
        learning_rate: Of every step.
        momentum: 0 for none.
        nodes: Places of the rule, 1 or more.
        seed: Draw one place per step instead; 0 or more.
        control: Tree, c to begin with; None for the middle of the line.
        progress: Called before each step with its number, from 0, and the curve's loss.

    Raises:
        UserError: The curve's loss is not finite: a smaller rate is needed. Or the trees do not fit the variables.

    Source: Garipov et al. 2018 (arXiv 1802.10026), sections 3.1 and 3.2.
    """
    w_0, w_1 = _tensors(start), _tensors(end)
    c = (
        trees.scale(0.5, [a + b for a, b in zip(w_0, w_1, strict=True)])
        if control is None
        else _tensors(control)
    )
    velocity, losses = trees.scale(0.0, c), []
    for step in range(steps):
        loss, gradient = _loss_and_gradient(objective, Curve(w_0, c, w_1), _places(nodes, seed, step))
        if not np.isfinite(loss):
            raise UserError(
                f"the curve's loss is {loss} in step {step} with learning_rate={learning_rate:g}: take a smaller one."
            )
        losses.append(loss)
        if progress is not None:
            progress(step, loss)
        velocity = trees.add_scaled(gradient, momentum, velocity)
        c = trees.add_scaled(c, -learning_rate, velocity)
    return TrainedCurve(Curve(w_0, c, w_1), np.array(losses))


def _loss_and_gradient(
    objective: Objective, curve: Curve, places: Sequence[tuple[float, float]]
) -> tuple[float, Tree]:
    """The weighted sum of the losses at places (t, weight), and its gradient in the control point."""
    loss, gradient = 0.0, trees.scale(0.0, curve.control)
    for t, weight in places:
        point = objective.value_and_gradient(curve.at(t))
        loss += weight * float(point.loss)
        gradient = trees.add_scaled(gradient, weight * 2 * t * (1 - t), point.gradient)
    return loss, gradient


def _places(nodes: int, seed: int | None, step: int) -> list[tuple[float, float]]:
    """(t, weight) of a step; the weights sum to 1."""
    if seed is not None:
        return [(float(np.random.default_rng((seed, step)).random()), 1.0)]
    t, weights = np.polynomial.legendre.leggauss(nodes)
    return [(float(a), float(w)) for a, w in zip((1 + t) / 2, weights / 2, strict=True)]


def _losses_between(
    objective: Objective,
    at: Callable[[float], Tree],
    points: int,
    of: str,
    known: Surface | None,
    progress: Progress | None,
) -> Surface:
    if points < 2:
        raise UserError(f"points={points}: a path takes 2 or more, its ends.")
    a = np.linspace(0, 1, points)
    return sampled_surface(objective, at, [a], of, known=known, progress=progress)


def _tensors(tree: Sequence[tf.Tensor]) -> Tree:
    return [tf.convert_to_tensor(leaf) for leaf in tree]
