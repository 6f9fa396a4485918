"""Stateless random draws for samples: a counter-based hash of (seed, epoch, sample id, stream).

What a sample draws depends neither on its micro-batch, nor on the order, the replica or any generator's state.
The epoch may as well be a step, or the number of a copy.
"""

import tensorflow as tf

# What a draw is for. Two draws of one sample and epoch are independent if their streams differ.
CROP_FLIP_STREAMS = (0, 1, 2)  # row offset, column offset, flip
ALTERNATING_FLIP_STREAM = 8
TRANSLATE_STREAMS = (9, 10)  # rows, columns
CUTOUT_STREAMS = (11, 12)  # row and column of the middle
JITTER_STREAMS = (32, 33, 34, 35, 36)  # order, then brightness, contrast, saturation and hue
RANDAUGMENT_STREAM, AUTOAUGMENT_STREAM = 0x1000, 0x2000  # the first of each policy's
TRIVIALAUGMENT_STREAM, AUGMIX_STREAM = 0x3000, 0x4000
MIXUP_STREAM, CUTMIX_STREAM = 0x5000, 0x6000
RESIZED_CROP_STREAMS = tuple(range(0x20000, 0x20028))  # four uniforms for each of ten tries
LOSS_WEIGHT_STREAMS = (0x10000, 0x10001)  # the two uniforms behind a normal draw

_MASK = 0xFFFFFFFF
_WEYL = 0x9E3779B9


def random_bits(
    seed: int | tf.Tensor, epoch: int | tf.Tensor, sample_ids: tf.Tensor, stream: int | tf.Tensor
) -> tf.Tensor:
    """Uniform 32-bit integers, a function of the arguments alone.

    Two keys k_0, k_1 are hashed from (seed, stream, epoch), then mixed with the sample id i = (i_lo, i_hi):
    `bits = m(m(i_lo ^ k_0) ^ i_hi ^ k_1)`, where m(x) = fmix32(x + 0x9E3779B9) is a bijection. With k_0
    alone, two epochs whose keys differ in low bits only would share their draws, in another order of samples.

    Args:
        seed: Integer, of which all 64 bits count; a Python int or a scalar tensor.
        epoch: Integer number of the epoch or copy, a Python int or a scalar tensor; or int64 [batch], of each sample.
        sample_ids: int64 [batch].
        stream: Integer that names the draw, a Python int or a scalar tensor, or a tensor [streams, 1].

    Returns:
        uint32 [batch], or [streams, batch].

    Source: fmix32 is the finaliser of MurmurHash3 (Appleby, 2011).
    """
    ids_low, ids_high = _words(sample_ids)
    keys = []
    for lane in (0, 1):
        key = tf.constant(lane, tf.uint32)
        for part in (seed, stream, epoch):
            for word in _words(part):
                key = _mix(tf.bitwise.bitwise_xor(key, word))
        keys.append(key)
    bits = _mix(tf.bitwise.bitwise_xor(ids_low, keys[0]))
    return _mix(tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(bits, ids_high), keys[1]))


def uniform_int(bits: tf.Tensor, count: int) -> tf.Tensor:
    """Maps 32 random bits to an integer in 0..count-1: floor(bits * count / 2^32), int64, same shape."""
    return tf.bitwise.right_shift(tf.cast(bits, tf.int64) * count, tf.constant(32, tf.int64))


def _mix(x: tf.Tensor) -> tf.Tensor:
    """fmix32(x + 0x9E3779B9), elementwise on uint32; the sum keeps 0 from being a fixed point."""
    x = x + tf.constant(_WEYL, tf.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(shift, tf.uint32)))
        x = x * tf.constant(factor, tf.uint32)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(16, tf.uint32)))


def _words(value: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The low and high 32 bits of an integer, as uint32."""
    value = tf.cast(value, tf.int64)
    mask = tf.constant(_MASK, tf.int64)
    high = tf.bitwise.right_shift(value, tf.constant(32, tf.int64))
    return (
        tf.cast(tf.bitwise.bitwise_and(value, mask), tf.uint32),
        tf.cast(tf.bitwise.bitwise_and(high, mask), tf.uint32),
    )
