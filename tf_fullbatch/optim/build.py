"""Name -> optimizer."""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras

from tf_fullbatch.optim.gradient_descent import GradientDescent

LearningRate: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule


def gradient_descent(
    learning_rate: LearningRate, *, momentum: float, nesterov: bool, weight_decay: float, **_: Any
) -> keras.optimizers.Optimizer:
    """`GradientDescent`: momentum, optionally Nesterov's, and coupled weight decay."""
    return GradientDescent(learning_rate, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)


def adamw(
    learning_rate: LearningRate,
    *,
    weight_decay: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    **_: Any,
) -> keras.optimizers.Optimizer:
    """`keras.optimizers.AdamW`: its decay is decoupled, `p - lr * weight_decay * p` beside Adam's step.

    Source: Loshchilov & Hutter 2019 (arXiv 1711.05101).
    """
    return keras.optimizers.AdamW(
        learning_rate, weight_decay=weight_decay, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, name="adamw"
    )


OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "gradient_descent": gradient_descent,
    "adamw": adamw,
}


def build_optimizer(
    name: str,
    *,
    learning_rate: LearningRate,
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 0.0,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> keras.optimizers.Optimizer:
    """The optimizer of a name and its hyperparameters.

    Args:
        name: A key of `OPTIMIZERS`.
        learning_rate: A constant rate, or a Keras schedule of the step.
        momentum: Momentum of "gradient_descent"; the others do not read it.
        nesterov: Whether that momentum is Nesterov's; the others do not read it.
        weight_decay: Coupled (added to the gradient) for "gradient_descent", decoupled for "adamw".
        beta_1: Decay of "adamw"'s mean of gradients; the others do not read it.
        beta_2: Decay of "adamw"'s mean of squared gradients; the others do not read it.
        epsilon: What "adamw" adds to its denominator; the others do not read it.

    Raises:
        ValueError: If the name is unknown or a value out of its optimizer's range.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer is {name!r}; accepted are {', '.join(map(repr, OPTIMIZERS))}.")
    rate = float(learning_rate) if isinstance(learning_rate, int | float) else learning_rate
    return OPTIMIZERS[name](
        rate,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
    )
