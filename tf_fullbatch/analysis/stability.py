"""Where a method of descent at a constant rate loses its stability: the largest curvature that it bears.

On a quadratic, iterates along an eigenvector of the Hessian obey a linear recursion; they do not grow as long as the
roots z of its characteristic polynomial lie within the unit circle. With `a = lr lambda` and `e = lr wd` of a decoupled
weight decay (0 for none) the polynomials are

    heavy ball   (z - 1 + e) (z - b) + a z
    Nesterov     (z - 1 + e) (z - b) + a ((1 + b) z - b)
    Adam         (z - 1 + e) (z - b) + a (1 - b) z
    PNM          (z - 1 + e) (z^2 - b^2) + a (1 - b^2) ((1 + c) z^2 - c z) / sqrt((1 + c)^2 + c^2),   c its beta_0

In the range 0 <= b < 1 and 0 <= e < 2 it is always the root z = -1 that binds from above. Complex roots never do: the
product of the roots, b (1 - e), or b (1 - e - a) with Nesterov, is at most b in magnitude until then. With PNM and
s = 1 - e, they reach the unit circle at `(1 + b^2 s^2) / (c + b^2 s (1 + c))` by Jury's criterion, in units in which
z = -1 does at `(1 + s) / (1 + 2c)`: less, by a multiple of `(1 - b^2 s) (1 + c (1 - s))`. The root z = 1 bounds the
curvature from below, at `-wd (1 - b)`, `-wd` with Adam, or `-wd sqrt((1 + c)^2 + c^2)` with PNM. So each threshold
solves a linear equation.

The same holds for a whole Hessian H and weights with their own rates, decays and preconditioners, which do not commute
with it: there the condition is `H <= Q`, Q the diagonal of what each weight bears by itself.

Sources: Cohen et al. 2021 (arXiv 2103.00065), appendix B, for heavy ball and Nesterov; Cohen et al. 2022 (arXiv
2207.14484), section 2, for Adam with its preconditioner held fixed. PNM's (Xie et al. 2021, arXiv 2103.17182, algorithm
1) is derived here.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.errors import UserError

if TYPE_CHECKING:
    from tf_fullbatch.core.trees import Tree


@dataclass(frozen=True, slots=True)
class Stability:
    """The stability of a method at a step.

    Attributes:
        threshold: Largest eigenvalue of the loss's Hessian (or of `P^-1/2 H P^-1/2`, where there is a preconditioner)
            at which iterates on a quadratic do not grow.
        formula: How it comes about, in words for a person: "(2 + 2b) / ((1 + 2b) lr)".
        preconditioner: Tree, the diagonal of P, positive; infinite for weights that do not move. None for the identity.
    """

    threshold: float
    formula: str
    preconditioner: "Tree | None" = None


def gradient_descent(rate: float) -> Stability:
    """`p -= lr g`: `2 / lr`.

    Args:
        rate: lr, positive.

    Raises:
        UserError: The rate is not positive.
    """
    _check_rate(rate)
    return Stability(2 / rate, "2 / lr")


def heavy_ball(rate: float, momentum: float) -> Stability:
    """`buf = b buf + g; p -= lr buf`: `(2 + 2b) / lr`.

    Args:
        rate: lr, positive.
        momentum: b, in [0, 1).

    Raises:
        UserError: A value is out of its range.
    """
    _check_rate(rate)
    _check_momentum(momentum)
    return Stability((2 + 2 * momentum) / rate, "(2 + 2b) / lr")


def nesterov(rate: float, momentum: float) -> Stability:
    """`buf = b buf + g; p -= lr (g + b buf)`: `(2 + 2b) / ((1 + 2b) lr)`.

    Args:
        rate: lr, positive.
        momentum: b, in [0, 1).

    Raises:
        UserError: A value is out of its range.
    """
    _check_rate(rate)
    _check_momentum(momentum)
    return Stability((2 + 2 * momentum) / ((1 + 2 * momentum) * rate), "(2 + 2b) / ((1 + 2b) lr)")


def adam(rate: float, beta_1: float) -> Stability:
    """`m = b m + (1 - b) g; p -= lr P^-1 m`: `(2 + 2b) / ((1 - b) lr)`, of `P^-1/2 H P^-1/2`.

    Args:
        rate: lr, positive.
        beta_1: b, in [0, 1).

    Raises:
        UserError: A value is out of its range.
    """
    _check_rate(rate)
    _check_momentum(beta_1)
    return Stability((2 + 2 * beta_1) / ((1 - beta_1) * rate), "(2 + 2b) / ((1 - b) lr)")


def positive_negative_momentum(rate: float, beta_0: float) -> Stability:
    """PNM, `rules.positive_negative_momentum.PNM`: `2 sqrt((1 + c)^2 + c^2) / ((1 + 2c) lr)`, c = beta_0.

    Its momentum beta_1 has no part in it: of gradients that change their sign at each step, the buffer of even steps
    and that of odd ones each see one sign alone, whatever they average over.

    Args:
        rate: lr, positive.
        beta_0: c, the weight of the negative momentum, not negative.

    Raises:
        UserError: A value is out of its range.
    """
    _check_rate(rate)
    if not 0 <= beta_0 < math.inf:
        raise UserError(f"beta_0={beta_0}: it must not be negative. Give 0 for no negative momentum.")
    length = math.hypot(1 + beta_0, beta_0)
    return Stability(2 * length / ((1 + 2 * beta_0) * rate), "2 sqrt((1 + c)^2 + c^2) / ((1 + 2c) lr)")


def with_coupled_decay(of: Stability, weight_decay: float) -> Stability:
    """Weight decay added to the gradient, `g + wd p`, before momentum: `T - wd`.

    The method sees the curvature `lambda + wd`.

    Args:
        of: Of the method without it.
        weight_decay: wd, not negative.

    Raises:
        UserError: The weight decay is negative.
    """
    _check_decay(weight_decay)
    if not weight_decay:
        return of
    return dataclasses.replace(of, threshold=of.threshold - weight_decay, formula=f"{of.formula} - wd")


def with_decoupled_decay(of: Stability, rate: float, weight_decay: float) -> Stability:
    """Weight decay beside the step, `p <- (1 - lr wd) p - ...`, free of momentum: `T (1 - lr wd / 2)`.

    At z = -1 the polynomials above read `(2 - lr wd) (1 + b) = a (1 + 2b)` and so on: the decay's share of 2 is lost.

    Args:
        of: Of the method without it, at the same rate.
        rate: lr, positive.
        weight_decay: wd, not negative and below 2 / lr, where the decay alone makes weights grow.

    Raises:
        UserError: A value is out of its range.
    """
    _check_rate(rate)
    _check_decay(weight_decay)
    if not weight_decay:
        return of
    if not rate * weight_decay < 2:
        raise UserError(
            f"weight_decay={weight_decay} at the rate {rate}: a decoupled decay must be below 2 / rate, or weights "
            "grow by it alone. Lower it."
        )
    threshold = of.threshold * (1 - rate * weight_decay / 2)
    return dataclasses.replace(of, threshold=threshold, formula=f"(1 - lr wd / 2) {of.formula}")


def with_clipping(of: Stability, factor: float) -> Stability:
    """Gradients multiplied by a factor, `s = min(1, c / |g|)`, before the decay and everything else: `T / s`.

    It is exact as long as the factor stays what it is.

    Args:
        of: Of the method without it, its weight decay included.
        factor: s, in (0, 1].

    Raises:
        UserError: The factor is out of its range.
    """
    if not 0 < factor <= 1:
        raise UserError(f"clip_factor={factor}: it must be above 0 and at most 1. Give min(1, c / |g|).")
    if factor == 1:
        return of
    return dataclasses.replace(of, threshold=of.threshold / factor, formula=f"({of.formula}) / s")


def with_perturbation(of: Stability, length: float, gradient_norm: float) -> Stability:
    """The gradient of a method mixed with that at perturbed weights, `(1 - a) g + a g(w + rho g / |g|)`.

    Along an eigenvector of curvature lambda the method sees `lambda + a rho lambda^2 / |g|`, so that, with T the
    method's own threshold, it bears

        (|g| / (2 a rho)) (sqrt(1 + 4 a rho T / |g|) - 1)

    It is exact on a quadratic as long as the gradient's norm stays what it is. With T = 2 / lr and a = 1 it is the edge
    of Long and Bartlett 2024 (arXiv 2309.12488).

    Args:
        of: Of the method without it, its decay and clipping included.
        length: `a rho`, not negative.
        gradient_norm: `|g|`, not negative.

    Raises:
        UserError: A value is out of its range.
    """
    if not (0 <= length < math.inf and 0 <= gradient_norm < math.inf):
        raise UserError(
            f"length={length}, gradient_norm={gradient_norm}: they must be finite and not negative. Give a rho and |g|."
        )
    if not length:
        return of
    share = gradient_norm / (2 * length)
    # share (sqrt(1 + 2 T / share) - 1), without the difference, which cancels where the share is large.
    root = math.sqrt(share * share + 2 * share * of.threshold)
    threshold = 2 * share * of.threshold / (root + share) if share else 0.0
    formula = f"|g| / (2 a rho) (sqrt(1 + 4 a rho T / |g|) - 1), T = {of.formula}"
    return dataclasses.replace(of, threshold=threshold, formula=formula)


def _check_rate(rate: float) -> None:
    if not 0 < rate < math.inf:
        raise UserError(f"rate={rate}: it must be positive and finite. Give the rate of a step.")


def _check_momentum(momentum: float) -> None:
    if not 0 <= momentum < 1:
        raise UserError(f"momentum={momentum}: it must lie in [0, 1). Lower it.")


def _check_decay(weight_decay: float) -> None:
    if not 0 <= weight_decay < math.inf:
        raise UserError(f"weight_decay={weight_decay}: it must not be negative. Give 0 for none.")
