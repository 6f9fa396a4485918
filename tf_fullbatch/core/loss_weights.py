"""Random weights of the samples' losses: multiplicative noise."""

import math

import tensorflow as tf

from tf_fullbatch.core.random_bits import LOSS_WEIGHT_STREAMS, random_bits


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
