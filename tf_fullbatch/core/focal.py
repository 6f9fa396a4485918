"""Focal loss of integer labels."""

from typing import Any, ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.core.losses import SparseCrossentropy, SparseLoss


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class SparseFocal(SparseLoss):
    """Focal loss `-(1 - p_y)^gamma log p_y`, `p = softmax(z)`, without class weights alpha.

    `(1 - p_y)^gamma` is computed as `exp(gamma log(1 - p_y))`, `log(1 - p_y)` a sum over the other classes, so that
    value and derivatives are finite where p_y rounds to 1. With gamma = 0 it is the cross-entropy.

    Args:
        gamma: Exponent, at least 0; published: 2.
        reduction: As in `keras.losses.Loss`; by default the mean of `sample_weight * loss` over the batch.
        name: Name of the loss.
        dtype: Lower bound of the precision, by default `keras.config.floatx()`.

    Raises:
        ValueError: If gamma is negative.

    Source: Lin et al. 2017 (arXiv 1708.02002), equation 4, of a softmax in the place of their sigmoids.
    """

    takes_logits: ClassVar[bool | None] = True

    def __init__(
        self,
        gamma: float = 2.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sparse_focal",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not gamma >= 0:
            raise ValueError(f"gamma is {gamma}; it must not be negative.")
        self.gamma = gamma

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of every sample, see `SparseCrossentropy.call`."""
        labels = self.labels(y_true, y_pred)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=y_pred)
        if self.gamma == 0:
            return loss
        is_label = tf.one_hot(labels, tf.shape(y_pred)[-1], on_value=True, off_value=False)
        log_p = tf.nn.log_softmax(y_pred)
        of_others = tf.reduce_logsumexp(tf.where(is_label, log_p.dtype.min, log_p), axis=-1)
        return tf.exp(self.gamma * of_others) * loss

    def cross_entropy(self) -> SparseCrossentropy:
        """That of the same logits."""
        return SparseCrossentropy(reduction=self.reduction, dtype=self.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "gamma": self.gamma}
