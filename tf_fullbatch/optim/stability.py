"""Where a Keras optimizer, as it stands, loses its stability."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.analysis import stability
from tf_fullbatch.analysis.stability import Stability
from tf_fullbatch.core import keras_internals
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.adai import Adai
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.optim.rules.positive_negative_momentum import PNM, AdaPNM
from tf_fullbatch.optim.rules.update_rule import UpdateRule


class _Method(NamedTuple):
    """What an optimizer does with a gradient at its present step.

    Attributes:
        limit: Rate -> stability without weight decay.
        coupled_decay: Weight decay added to the gradient.
        decoupled_decay: Weight decay beside the step.
        denominators: Tree, how many times as much as `limit` says each weight bears: what the gradient's mean is
            divided by, or what momenta of their own make of it; None for ones.
        named: The denominators in words.
    """

    limit: Callable[[float], Stability]
    coupled_decay: float = 0.0
    decoupled_decay: float = 0.0
    denominators: Tree | None = None
    named: str = ""

    def bound(self, rate: float, decayed: bool) -> Stability:
        """The stability of a weight at a rate of its own."""
        found = self.limit(rate)
        if not decayed:
            return found
        if self.denominators is None:  # else it is not the same share of what each weight bears
            found = stability.with_coupled_decay(found, self.coupled_decay)
        return stability.with_decoupled_decay(found, rate, self.decoupled_decay)

    def less(self, shares: Sequence[float], decays: Sequence[float]) -> "_Method":
        """The same with a coupled decay within the denominators.

        Args:
            shares: What the denominators of each variable will be multiplied by.
            decays: Of each variable, in units of the threshold.
        """
        assert self.denominators is not None
        found = [
            d - tf.constant(decay / share, d.dtype)
            for d, share, decay in zip(self.denominators, shares, decays, strict=True)
        ]
        return self._replace(denominators=found, named=f"{self.named} less the decay")


def stability_of(
    optimizer: keras.optimizers.Optimizer,
    learning_rate: float,
    variables: Sequence[keras.Variable],
    clip_factor: float = 1.0,
    rate_factors: Sequence[float] | None = None,
) -> Stability | None:
    """The largest curvature that an optimizer bears at a constant rate, by the formulas of `analysis.stability`.

    Known are `GradientDescent`, `PNM`, `AdaPNM`, `Adai` and Keras' SGD, Adam, AdamW and RMSprop. Denominators, and
    Adai's inertias b_i, change from step to step; they are held at those of the last step, bias corrections included:

        Adam, AdamW   P = (1 - b1^t) (sqrt(v / (1 - b2^t)) + eps / sqrt(1 - b2^t))
        RMSprop       P = sqrt(v + eps)
        AdaPNM        P = (1 - b1^t) (sqrt(v_max / (1 - b2^t)) + eps)
        Adai          P_ii = (1 + b_i) (1 - product of all b_i) / (1 - b_i) - lr wd / 2,   wd of a coupled decay

    Weights with a rate or a weight decay of their own are part of P too: with q_i the largest curvature that weight i
    would bear by itself and T the threshold returned, `P_ii = q_i / T`. This is exact, not an approximation.

    Args:
        optimizer: As it stands between two steps.
        learning_rate: The rate of the step to come.
        variables: The trainable variables, in the order that P has.
        clip_factor: What clipping multiplies the gradient by, `min(1, c / |g|)`.
        rate_factors: Factors on the rate of each of the variables, not negative; None for ones.

    Returns:
        None where it is not derived: another optimizer, or a subclass; Adam with amsgrad, Adamax, RMSprop centered;
        an optimizer that clips, scales or accumulates gradients itself, or overwrites weights by their average; weights
        with constraints; momentum 1; a rate of 0. None too before the first step where there are denominators, and
        where no positive curvature is borne.

    Raises:
        UserError: The clipping factor is out of (0, 1].

    Sources: Cohen et al. 2022 (arXiv 2207.14484), section 2, for P; `keras.src.optimizers` 3.15 for its parts.
    """
    read = _READERS.get(type(optimizer))
    if read is None or _does_more(optimizer, variables):
        return None
    method = read(optimizer, variables)
    if method is None:
        return None
    decays = bool(method.coupled_decay or method.decoupled_decay)
    # `.value`: the optimizer asks by TensorFlow's variable, and keeps the first answer.
    decayed = [decays and keras_internals.is_decayed(optimizer, v.value) for v in variables]
    factors = [1.0] * len(variables) if rate_factors is None else list(rate_factors)
    rate = float(learning_rate)
    try:
        whole = method.bound(rate, any(decayed))
        bounds = [
            method.bound(factor * rate, own).threshold if factor else float("inf")
            for factor, own in zip(factors, decayed, strict=True)
        ]
    except UserError:  # a rate, a momentum or a decay at which nothing is borne
        return None
    if not min([whole.threshold, *bounds]) > 0:
        return None
    shares = [bound / whole.threshold for bound in bounds]
    clipped = stability.with_clipping(whole, clip_factor)
    if method.denominators is not None and method.coupled_decay:
        less = [method.coupled_decay / whole.threshold if own else 0.0 for own in decayed]
        method = method.less(shares, less)
        if not all(bool(tf.reduce_all(d > 0)) for d in method.denominators or ()):
            return None
    formula, preconditioner = _preconditioned(clipped.formula, method, shares, variables)
    return Stability(clipped.threshold, formula, preconditioner)


def _preconditioned(
    formula: str, method: _Method, shares: Sequence[float], variables: Sequence[keras.Variable]
) -> tuple[str, Tree | None]:
    """The formula with what P is made of, and P."""
    parts = [method.named] if method.denominators is not None else []
    if any(share != 1 for share in shares):
        parts.append("the weights' own rates and decays")
    if not parts:
        return formula, None
    named = f"{formula}, of P^-1/2 H P^-1/2 with P of {' and '.join(parts)}"
    ones = [tf.ones(v.shape, v.dtype) for v in variables]
    denominators = ones if method.denominators is None else method.denominators
    return named, [tf.constant(share, d.dtype) * d for share, d in zip(shares, denominators, strict=True)]


def _does_more(optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]) -> bool:
    """Whether an optimizer does more than its recursion."""
    changes_gradients = (
        optimizer.clipnorm,
        optimizer.clipvalue,
        optimizer.global_clipnorm,
        optimizer.loss_scale_factor,
        optimizer.gradient_accumulation_steps,
    )
    overwrites = optimizer.use_ema and optimizer.ema_overwrite_frequency
    constrained = any(v.constraint is not None or v.overwrite_with_gradient for v in variables)
    return any(changes_gradients) or bool(overwrites) or constrained


def _momentum_limit(momentum: float, nesterov: bool) -> Callable[[float], Stability]:
    if not momentum:
        return stability.gradient_descent
    of = stability.nesterov if nesterov else stability.heavy_ball
    return lambda rate: of(rate, momentum)


def _gradient_descent(optimizer: GradientDescent, variables: Sequence[keras.Variable]) -> _Method:
    del variables
    limit = _momentum_limit(optimizer.momentum, optimizer.nesterov)
    return _Method(limit, coupled_decay=optimizer.coupled_weight_decay)


def _sgd(optimizer: keras.optimizers.SGD, variables: Sequence[keras.Variable]) -> _Method:
    """Keras' momentum keeps the rate in its buffer, which is the same at a constant rate."""
    del variables
    limit = _momentum_limit(optimizer.momentum, optimizer.nesterov)
    return _Method(limit, decoupled_decay=optimizer.weight_decay or 0.0)


def _adam(optimizer: keras.optimizers.Adam, variables: Sequence[keras.Variable]) -> _Method | None:
    step, beta_1 = int(optimizer.iterations), float(optimizer.beta_1)
    squares = _kept(optimizer, variables)
    if optimizer.amsgrad or squares is None:
        return None
    correction = (1 - beta_1**step) / (1 - float(optimizer.beta_2) ** step) ** 0.5
    epsilon = optimizer.epsilon
    return _Method(
        lambda rate: stability.adam(rate, beta_1),
        decoupled_decay=optimizer.weight_decay or 0.0,
        denominators=[tf.constant(correction, v.dtype) * (tf.sqrt(v) + epsilon) for v in squares],
        named="(1 - b^t) (sqrt(v_hat) + eps)",
    )


def _rmsprop(optimizer: keras.optimizers.RMSprop, variables: Sequence[keras.Variable]) -> _Method | None:
    squares = _kept(optimizer, variables)
    if optimizer.centered or squares is None:
        return None
    return _Method(
        _momentum_limit(optimizer.momentum, nesterov=False),
        decoupled_decay=optimizer.weight_decay or 0.0,
        denominators=[tf.sqrt(v + optimizer.epsilon) for v in squares],
        named="sqrt(v + eps)",
    )


def _pnm(optimizer: PNM, variables: Sequence[keras.Variable]) -> _Method:
    del variables
    return _Method(
        lambda rate: stability.positive_negative_momentum(rate, optimizer.beta_0),
        decoupled_decay=optimizer.own_weight_decay,
    )


def _adapnm(optimizer: AdaPNM, variables: Sequence[keras.Variable]) -> _Method | None:
    squares = _kept(optimizer, variables, "largest_velocity" if optimizer.amsgrad else "velocity")
    if squares is None:
        return None
    step = int(optimizer.iterations)
    first, second = 1 - optimizer.beta_1**step, 1 - optimizer.beta_2**step
    return _pnm(optimizer, variables)._replace(
        denominators=[
            tf.constant(first, v.dtype) * (tf.sqrt(v / second) + optimizer.epsilon) for v in squares
        ],
        named="(1 - b^t) (sqrt(v_hat) + eps)",
    )


def _adai(optimizer: Adai, variables: Sequence[keras.Variable]) -> _Method | None:
    """Each weight is one of momentum b_i. On the unit circle `sum_i |x_i|^2 (z - 1) (z - b_i) / (z (1 - b_i))` is real
    at z = 1 and z = -1 alone, for its imaginary part is `sin(arg z) |x|^2`: so z = -1 binds whatever H is.
    """
    if _kept(optimizer, variables) is None:
        return None
    every = keras_internals.built_for(optimizer)
    inertias = optimizer.inertias(_kept(optimizer, every) or [])
    products = _kept(optimizer, variables, "inertias") or []
    of = [inertias[keras_internals.position_of(optimizer, v)] for v in variables]
    decay = optimizer.own_weight_decay
    return _Method(
        stability.gradient_descent,
        coupled_decay=0.0 if optimizer.decoupled else decay,
        decoupled_decay=decay if optimizer.decoupled else 0.0,
        denominators=[(1 + b) * (1 - product) / (1 - b) for b, product in zip(of, products, strict=True)],
        named="(1 + b_i) (1 - product of b_i) / (1 - b_i)",
    )


def _kept(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable], name: str = "velocity"
) -> Tree | None:
    """What an optimizer keeps for each variable, by default of squared gradients; None before the first step."""
    if not optimizer.built or not int(optimizer.iterations):
        return None
    if isinstance(optimizer, UpdateRule):
        kept = optimizer.kept[name]
    else:
        kept = [v for v in optimizer.variables if v.name.endswith(f"_{name}")]
    of = [kept[keras_internals.position_of(optimizer, v)] for v in variables]
    return [tf.convert_to_tensor(v.value) for v in of]


_READERS: dict[type, Callable[..., _Method | None]] = {
    Adai: _adai,
    GradientDescent: _gradient_descent,
    PNM: _pnm,
    AdaPNM: _adapnm,
    keras.optimizers.SGD: _sgd,
    keras.optimizers.Adam: _adam,
    keras.optimizers.AdamW: _adam,
    keras.optimizers.RMSprop: _rmsprop,
}
"""By the very type: a subclass may do something else."""
