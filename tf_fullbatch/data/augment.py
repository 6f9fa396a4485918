"""Stateless augmentation: random crop and flip as a function of (seed, epoch, sample id) alone.

An augmentation maps (images, sample_ids, epoch) to images. Its randomness is a counter-based hash, so the
image a sample becomes depends neither on its micro-batch, nor on the order, the replica or any generator's
state. The epoch may as well be the number of a copy: a fixed data set of N augmented copies is epochs 0..N-1,
over and over.
"""

from collections.abc import Callable

import tensorflow as tf

Augmentation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]

# What a draw is for. Two draws of one sample and epoch are independent if their streams differ.
CROP_FLIP_STREAMS = (0, 1, 2)  # row offset, column offset, flip
RANDAUGMENT_STREAM = 16  # the first of RandAugment's

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
        epoch: Integer number of the epoch or copy, a Python int or a scalar tensor.
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


def crop_flip(
    images: tf.Tensor,
    sample_ids: tf.Tensor,
    epoch: int | tf.Tensor,
    seed: int | tf.Tensor,
    *,
    padding: int = 4,
    flip: bool = True,
) -> tf.Tensor:
    """Pads with black pixels, crops back to size at a random place, and mirrors every second image.

    Works on raw pixels: the padding is black before normalisation. Offsets are uniform in 0..2*padding, drawn
    apart for rows and columns; a flip (left to right, after the crop) has probability 1/2.

    Args:
        images: uint8 [batch, height, width, channels], static but for the batch.
        sample_ids: int64 [batch].
        epoch: Number of the epoch or copy.
        seed: Seed of the run's augmentation.
        padding: Pixels added on each side; 0 leaves the crop out.
        flip: Whether to mirror.

    Returns:
        uint8, the shape of `images`.
    """
    if not padding and not flip:
        return images
    _, height, width, channels = images.shape
    rows = tf.range(height, dtype=tf.int64)[tf.newaxis, :]
    columns = tf.range(width, dtype=tf.int64)[tf.newaxis, :]
    streams = tf.constant(CROP_FLIP_STREAMS, tf.int64)[:, tf.newaxis]
    bits = tf.unstack(random_bits(seed, epoch, sample_ids, streams)[:, :, tf.newaxis])
    if flip:
        columns += uniform_int(bits[2], 2) * (width - 1 - 2 * columns)
    rows += uniform_int(bits[0], 2 * padding + 1)
    columns += uniform_int(bits[1], 2 * padding + 1)
    # GPUs have no kernel to gather uint8; bfloat16 holds 0..255 exactly and moves half of what int32 would.
    pixels = tf.cast(images, tf.bfloat16)
    pixels = tf.pad(pixels, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    image = tf.range(tf.shape(images, out_type=tf.int64)[0])[:, tf.newaxis, tf.newaxis]
    place = (image * (height + 2 * padding) + rows[:, :, tf.newaxis]) * (width + 2 * padding)
    pixels = tf.gather(tf.reshape(pixels, [-1, channels]), place + columns[:, tf.newaxis, :])
    return tf.ensure_shape(tf.cast(pixels, tf.uint8), images.shape)


def build_augmentation(
    name: str,
    *,
    padding: int,
    seed: int | tf.Tensor,
    magnitude: float = 0.5,
    augmentations_per_image: int = 2,
) -> Augmentation | None:
    """Builds the augmentation of a name in `AUGMENTATIONS`.

    Args:
        name: A key of `AUGMENTATIONS`.
        padding: Pixels of black padding on each side before the random crop.
        seed: Seed of the augmentation, a Python int or a scalar int64 tensor.
        magnitude: Strength of RandAugment's operations, 0 to 1; used by "randaugment" alone.
        augmentations_per_image: Operations RandAugment applies to an image; used by "randaugment" alone.

    Returns:
        A function of (images uint8 [batch, height, width, channels], sample_ids int64 [batch], epoch int64
        scalar) to images of the same shape and type; None for "none".

    Raises:
        ValueError: Unknown name, or negative padding.
        UserError: RandAugment's package is missing, or its arguments are out of range.
    """
    if name not in AUGMENTATIONS:
        raise ValueError(f"augmentation {name!r} is unknown; choose one of {', '.join(AUGMENTATIONS)}")
    if padding < 0:
        raise ValueError(f"padding={padding} is negative; give 0 or more pixels")
    return AUGMENTATIONS[name](
        padding=padding,
        seed=seed,
        magnitude=magnitude,
        augmentations_per_image=augmentations_per_image,
    )


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


def _crop(*, padding: int, seed: int | tf.Tensor, flip: bool) -> Augmentation:
    """The crop, with or without the flip, bound to its settings."""

    def augment(images: tf.Tensor, sample_ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        return crop_flip(images, sample_ids, epoch, seed, padding=padding, flip=flip)

    return augment


def _randaugment(
    *, padding: int, seed: int | tf.Tensor, magnitude: float, augmentations_per_image: int
) -> Augmentation:
    """Crop and flip, then RandAugment."""
    from tf_fullbatch.data import randaugment

    cropped = _crop(padding=padding, seed=seed, flip=True)
    policy = randaugment.build_randaugment(
        seed=seed, magnitude=magnitude, augmentations_per_image=augmentations_per_image
    )

    def augment(images: tf.Tensor, sample_ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        return policy(cropped(images, sample_ids, epoch), sample_ids, epoch)

    return augment


AUGMENTATIONS: dict[str, Callable[..., Augmentation | None]] = {
    "none": lambda **_: None,
    "crop": lambda *, padding, seed, **_: _crop(padding=padding, seed=seed, flip=False),
    "crop_flip": lambda *, padding, seed, **_: _crop(padding=padding, seed=seed, flip=True),
    "randaugment": _randaugment,
}
