"""Batch normalisation over parts of a batch, as small as the batches that networks used to be trained with.

No stock layer of Keras has statistics of parts in training, moving averages of them in inference, and one scale and
offset behind both: this is the one layer of the package's own that a network may have, and a saved network with it
loads where this module has been imported.
"""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class GhostBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation whose statistics are of at most `ghost_batch_size` samples (Hoffer et al. 2017, algorithm 1).

    In training a batch of B samples is cut, in order, into `G = ceil(B / ghost_batch_size)` groups whose sizes differ
    by one at most (sample i is in group `floor(i G / B)`), so that no rest of a few samples has statistics of its own.
    With mean `mu_g` and biased variance `v_g` over the samples and pixels of group g,

        y = gamma (x - mu_g) / sqrt(v_g + epsilon) + beta.

    The moving averages move once a call, by the means of `mu_g` and `v_g` over the samples: the spread *between* the
    groups is in neither, as it is not in training. In inference it is `keras.layers.BatchNormalization`.

    Args:
        ghost_batch_size: Most samples of a group, at least 1.
        **kwargs: Of `keras.layers.BatchNormalization`; channels are the last axis.

    Raises:
        ValueError: An argument that groups have no meaning for.
    """

    def __init__(self, ghost_batch_size: int, **kwargs: Any):
        super().__init__(**kwargs)
        if ghost_batch_size < 1:
            raise ValueError(f"ghost_batch_size must be at least 1: got {ghost_batch_size}.")
        if self.axis != -1 or self.renorm or self.synchronized:
            raise ValueError(
                "GhostBatchNormalization has channels last, no renorm and no synchronized: leave out axis, renorm "
                "and synchronized."
            )
        self.ghost_batch_size = int(ghost_batch_size)

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Normalised inputs `[batch, ..., channels]`, in the layer's compute dtype."""
        if not (training and self.trainable):
            return super().call(inputs, training=False, mask=mask)
        if mask is not None:
            raise ValueError("GhostBatchNormalization takes no mask: use BatchNormalization.")
        x = tf.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        members = _members(
            tf.shape(x)[0] if x.shape[0] is None else x.shape[0], self.ghost_batch_size, x.dtype
        )
        within = list(range(1, len(x.shape) - 1))
        means = _of_groups(members, tf.reduce_mean(x, within))
        away = x - _spread(means, x)
        variances = _of_groups(members, tf.reduce_mean(tf.square(away), within))
        for moving, measured in ((self.moving_mean, means), (self.moving_variance, variances)):
            kept = tf.cast(moving, x.dtype)
            moving.assign(kept * self.momentum + tf.reduce_mean(measured, 0) * (1.0 - self.momentum))
        factors = tf.math.rsqrt(variances + self.epsilon)
        if self.scale:
            factors *= tf.cast(self.gamma, x.dtype)
        outputs = away * _spread(factors, x)
        if self.center:
            outputs += tf.cast(self.beta, x.dtype)
        return tf.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "ghost_batch_size": self.ghost_batch_size}


def _members(batch: int | tf.Tensor, most: int, dtype: tf.DType) -> tf.Tensor:
    """`[groups, batch]`, 1 where a sample is in a group, else 0."""
    groups = -(-batch // most)
    return tf.one_hot(tf.range(batch) * groups // batch, groups, axis=0, dtype=dtype)


def _of_groups(members: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """`[batch, channels]`: for each sample the mean of the values of its group's samples.

    Sums of products, not matrix products: those would be rounded to TF32 on some devices.
    """
    members = members[:, :, tf.newaxis]
    means = tf.reduce_sum(members * values, 1, keepdims=True) / tf.reduce_sum(members, 1, keepdims=True)
    return tf.reduce_sum(members * means, 0)


def _spread(values: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """`[batch, channels]` as `[batch, 1, ..., 1, channels]`, to be applied to `x`."""
    for _ in range(len(x.shape) - 2):
        values = values[:, tf.newaxis]
    return values
