"""Binary cross-entropies of all classes, of integer labels."""

from typing import ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.core.losses import SparseLoss


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class SparseSigmoid(SparseLoss):
    """One binary cross-entropy per class against the one-hot target, summed over the classes.

    With C classes, logits z and class y: `softplus(-z_y) + sum_{k != y} softplus(z_k)`. It is C times Keras'
    `BinaryCrossentropy(from_logits=True)` of one-hot targets, which averages over the classes.

    Args:
        reduction: As in `keras.losses.Loss`; by default the mean of `sample_weight * loss` over the batch.
        name: Name of the loss.
        dtype: Lower bound of the precision, by default `keras.config.floatx()`.

    Source: Beyer et al. 2020 (arXiv 2006.07159), section 5.
    """

    takes_logits: ClassVar[bool | None] = True
    mixes: ClassVar[bool] = True

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sparse_sigmoid",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of every sample, see `SparseCrossentropy.call`."""
        labels = self.labels(y_true, y_pred)
        is_label = tf.one_hot(labels, tf.shape(y_pred)[-1], on_value=True, off_value=False)
        return tf.reduce_sum(tf.math.softplus(tf.where(is_label, -y_pred, y_pred)), axis=-1)
