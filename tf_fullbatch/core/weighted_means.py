"""The mean of a micro-batch's losses over the samples or places that count, and what it counts for."""

import tensorflow as tf

from tf_fullbatch.core import keras_internals
from tf_fullbatch.errors import UserError


def counted(mask: tf.Tensor | None, losses: tf.Tensor) -> tf.Tensor | None:
    """Where losses count: the outputs' mask, and the losses' own, which Keras' `ignore_class` leaves on them."""
    own = keras_internals.mask_of(losses)
    if mask is None or own is None:
        return own if mask is None else mask
    return tf.cast(mask, tf.bool) & tf.cast(own, tf.bool)


def mean_loss(
    losses: tf.Tensor,
    mask: tf.Tensor | None,
    outputs: tf.Tensor,
    weights: tf.Tensor | None = None,
    by_weights: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean of a micro-batch's losses, and what it counts for in a mean over the set.

    Args:
        losses: `[batch, ...]`; or a scalar, a loss of the micro-batch as a whole.
        mask: `[batch, ...]` of a rank up to that of the losses, True where a loss counts; None: all count.
        outputs: `[batch, ...]`, what the losses are of.
        weights: `[batch, ...]` of a rank up to that of the losses, factors on them; None for ones.
        by_weights: Divide by the sum of the weights of what counts, where there are any, not by its number.

    Returns:
        The mean over what counts (0 where nothing does), and the number of samples or, with a mask, of the places
        that count, or the sum of the weights, as a scalar of the losses' dtype.

    Raises:
        UserError: There is a mask or are weights, and no loss per sample that they could weight.
    """
    if weights is not None:
        weights = spread("sample_weight", weights, losses)
        if not by_weights:
            losses, weights = weights * losses, None
    if mask is None and weights is None:
        return tf.reduce_mean(losses), tf.cast(samples_of(outputs), losses.dtype)
    counts = weights if mask is None else spread("mask", mask, losses)
    if mask is not None and weights is not None:
        counts = counts * weights
    total = tf.reduce_sum(counts)
    return tf.math.divide_no_nan(tf.reduce_sum(counts * losses), total), total


def samples_of(batch: tf.Tensor) -> tf.Tensor:
    """int32, the leading size of `[batch, ...]`; a constant where it is known."""
    known = batch.shape[0]
    return tf.shape(batch)[0] if known is None else tf.constant(known)


def spread(name: str, factors: tf.Tensor, losses: tf.Tensor) -> tf.Tensor:
    """Factors of samples or places, `[batch, ...]`, as wide as the losses.

    Raises:
        UserError: There is no loss per sample, or there are more axes than the losses have.
    """
    if not losses.shape.rank:
        what = "The network masks places" if name == "mask" else f"{name} weights samples"
        raise UserError(
            f"{what}, but the loss is one number per micro-batch: let it return a loss per sample or place."
        )
    factors = tf.cast(factors, losses.dtype)
    if factors.shape.rank == losses.shape.rank + 1 and factors.shape[-1] == 1:
        factors = tf.squeeze(factors, -1)
    if factors.shape.rank > losses.shape.rank:
        raise UserError(
            f"{name} has {factors.shape.rank} axes, but there is one loss per place of {losses.shape.rank}: give one "
            "weight per sample, or one per place."
        )
    while factors.shape.rank < losses.shape.rank:
        factors = factors[..., tf.newaxis]
    return tf.broadcast_to(factors, tf.shape(losses))
