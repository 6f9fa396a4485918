"""What is done to the gradient between reduction and update: clipping and noise.

All are pure functions of tensors. They run once per step, after the reduction over replicas, and their noise
is a function of seed and step alone, so every replica and every rerun gets the same.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.names import CLIP_NORM_TYPES
from tf_fullbatch.core.random_bits import LOSS_WEIGHT_STREAMS, random_bits

# Keeps this noise apart from other draws that start from the same (seed, step).
_LANGEVIN_STREAM = 0x4C41


Transform = Callable[[trees.Tree, tf.Tensor], tuple[trees.Tree, dict[str, tf.Tensor]]]
"""Maps (gradient, step int64 scalar) to (gradient, figures to record)."""


class Clipped(NamedTuple):
    """A gradient after clipping, and what was measured before it.

    Attributes:
        gradient: The clipped gradient, leaf by leaf.
        norm: `|g|_2` before clipping, whichever norm the threshold is for: the norm that is reported.
        clipped: Boolean scalar: whether the gradient was changed.
    """

    gradient: trees.Tree
    norm: tf.Tensor
    clipped: tf.Tensor


def clip_by_norm(gradient: Sequence[tf.Tensor], clip_norm: float | None, norm_type: str = "l2") -> Clipped:
    """Rescales the gradient where its norm exceeds a threshold.

    With n the norm of all leaves seen as one vector: `g * c / (n + 1e-6)` if n > c; otherwise g, bit for bit.

    Args:
        gradient: Finite leaves of one dtype.
        clip_norm: The threshold c, positive; None measures the norm and changes nothing.
        norm_type: "l2" or "inf" (the largest magnitude).

    Raises:
        ValueError: If the threshold is not positive or the norm type unknown.

    Source: Pascanu et al. 2013 (arXiv 1211.5063), algorithm 1; the 1e-6 is PyTorch's.
    """
    if norm_type not in CLIP_NORM_TYPES:
        raise ValueError(f"norm_type is {norm_type!r}; accepted are {', '.join(map(repr, CLIP_NORM_TYPES))}.")
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm is {clip_norm}; it must be positive, or None for no clipping.")
    norm = trees.global_norm(gradient)
    compared = norm if norm_type == "l2" else tf.cast(trees.max_norm(gradient), norm.dtype)
    if clip_norm is None:
        return Clipped(list(gradient), norm, tf.constant(False))
    exceeds = compared > clip_norm
    factor = clip_norm / (compared + 1e-6)
    # A selection, not a factor of 1: a product would flush denormal numbers to zero.
    clipped = [tf.where(exceeds, tf.cast(factor, g.dtype) * g, g) for g in gradient]
    return Clipped(clipped, norm, exceeds)


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


def clipping(clip_norm: float | None, norm_type: str = "l2") -> Transform:
    """`clip_by_norm` as a transform, with the figures `gradient_norm` (before clipping) and `clipped`."""

    def transform(gradient: trees.Tree, step: tf.Tensor) -> tuple[trees.Tree, dict[str, tf.Tensor]]:
        del step
        clipped = clip_by_norm(gradient, clip_norm, norm_type)
        return clipped.gradient, {"gradient_norm": clipped.norm, "clipped": clipped.clipped}

    return transform


def langevin_noise(standard_deviation: float, seed: int) -> Transform:
    """`add_langevin_noise` as a transform."""

    def transform(gradient: trees.Tree, step: tf.Tensor) -> tuple[trees.Tree, dict[str, tf.Tensor]]:
        return add_langevin_noise(gradient, standard_deviation, seed, step), {}

    return transform


def apply_all(
    transforms: Sequence[Transform], gradient: trees.Tree, step: tf.Tensor
) -> tuple[trees.Tree, dict[str, tf.Tensor]]:
    """The transforms one after the other; their figures together."""
    figures: dict[str, tf.Tensor] = {}
    for transform in transforms:
        gradient, measured = transform(gradient, step)
        figures |= measured
    return gradient, figures


def sample_loss_weights(
    seed: int, step: tf.Tensor | int, sample_ids: tf.Tensor, standard_deviation: float
) -> tf.Tensor:
    """Random weights of the samples' losses, which put multiplicative noise into their gradients.

    `g = 1/M * sum_n z_n g_n` with `z_n ~ N(1, sigma^2)` leaves the mean gradient as it is and adds the
    covariance `sigma^2/M * 1/M sum_n g_n g_n^T`: with `sigma^2 = M / m`, about that of batches of m samples.

    Args:
        seed: The run's seed.
        step: The optimizer step.
        sample_ids: `[batch]` integers. A weight is a function of (seed, step, id) alone, whatever the batch.
        standard_deviation: sigma, without unit.

    Returns:
        `[batch]` float32 weights, normal by Box & Muller's transform; negative ones occur.

    Raises:
        ValueError: If sigma is negative.

    Source: Hoffer et al. 2017 (arXiv 1705.08741), section 4, multiplicative noise.
    """
    if not standard_deviation >= 0:
        raise ValueError(f"standard_deviation is {standard_deviation}; it must not be negative.")
    streams = tf.constant(LOSS_WEIGHT_STREAMS, tf.int64)[:, tf.newaxis]
    bits = random_bits(seed, step, sample_ids, streams)
    # float64 in (0, 1), both ends excluded: the logarithm of 0 never occurs.
    first, second = tf.unstack((tf.cast(bits, tf.float64) + 0.5) / 2.0**32)
    normal = tf.sqrt(-2 * tf.math.log(first)) * tf.cos(2 * math.pi * second)
    return tf.cast(1 + standard_deviation * normal, tf.float32)


def _fold_in(seed: tf.Tensor, data: int) -> tf.Tensor:
    """The seed `[2]` of one of many streams that start from `seed` `[2]`."""
    return tf.random.fold_in(seed, tf.constant(data, tf.int64), alg="philox")
