"""Gaussian noise on every coordinate of the gradient."""

from collections.abc import Sequence

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.transforms.base import Figures, StepStart, Transform

# Keeps this noise apart from other draws that start from the same (seed, step).
_LANGEVIN_STREAM = 0x4C41


def add_langevin_noise(
    gradient: Sequence[tf.Tensor], standard_deviation: float, seed: int, step: tf.Tensor | int
) -> trees.Tree:
    """Adds independent normal noise to every entry: `g + sigma * xi`, `xi ~ N(0, I)`.

    Under plain gradient descent at rate lr, `sigma = sqrt(2 * T / lr)` makes the update
    `p - lr * g - sqrt(2 * T * lr) * xi`, a step of Langevin dynamics at temperature T.

    Args:
        gradient: Leaves of a floating dtype.
        standard_deviation: sigma, in the gradient's unit; 0 adds nothing.
        seed: The run's seed.
        step: The optimizer step; the noise is a function of seed, step and the leaf's position alone.

    Raises:
        ValueError: If sigma is negative.

    Source: Welling & Teh 2011, "Bayesian Learning via Stochastic Gradient Langevin Dynamics", equation 4.
    """
    if not standard_deviation >= 0:
        raise ValueError(f"standard_deviation is {standard_deviation}; it must not be negative.")
    if standard_deviation == 0:
        return list(gradient)
    of_step = tf.stack([tf.constant(seed, tf.int64), tf.cast(tf.convert_to_tensor(step), tf.int64)])
    of_stream = _fold_in(of_step, _LANGEVIN_STREAM)
    noise = [
        # A fixed algorithm: "auto_select" differs between devices.
        tf.random.stateless_normal(tf.shape(g), _fold_in(of_stream, leaf), dtype=g.dtype, alg="philox")
        for leaf, g in enumerate(gradient)
    ]
    return [g + standard_deviation * xi for g, xi in zip(gradient, noise, strict=True)]


def langevin_noise(standard_deviation: float, seed: int) -> Transform:
    """`add_langevin_noise` as a transform."""

    def transform(gradient: trees.Tree, start: StepStart) -> tuple[trees.Tree, Figures]:
        return add_langevin_noise(gradient, standard_deviation, seed, start.step), {}

    return transform


def _fold_in(seed: tf.Tensor, data: int) -> tf.Tensor:
    """The seed `[2]` of one of many streams that start from `seed` `[2]`."""
    return tf.random.fold_in(seed, tf.constant(data, tf.int64), alg="philox")
