"""Random crop and flip on the device."""

import tensorflow as tf

from tf_fullbatch.core.random_bits import CROP_FLIP_STREAMS, random_bits, uniform_int


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
