"""Cross-entropy of the samples that are not yet classified correctly."""

from typing import ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.core.accuracy import of_class_numbers
from tf_fullbatch.core.losses import SparseCrossentropy, SparseLoss


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class IncorrectOnly(SparseLoss):
    """Cross-entropy of samples whose largest logit is not their class', 0 of the others.

    The mean is over all samples, the correct ones among them: `1/N sum_n [argmax_k z_nk != y_n] (-log p_n,y_n)`. Which
    samples count is not differentiated, so that the loss jumps where one becomes correct. Of equal logits the first is
    the largest.

    Args:
        reduction: As in `keras.losses.Loss`; by default the mean of `sample_weight * loss` over the batch.
        name: Name of the loss.
        dtype: Lower bound of the precision, by default `keras.config.floatx()`.

    Source: the published code of Geiping et al. 2022 (arXiv 2109.14119).
    """

    takes_logits: ClassVar[bool | None] = True

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "incorrect_only",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of every sample, see `SparseCrossentropy.call`."""
        labels = self.labels(y_true, y_pred)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=y_pred)
        return tf.where(of_class_numbers(labels, y_pred), tf.zeros_like(loss), loss)

    def cross_entropy(self) -> SparseCrossentropy:
        """That of all samples."""
        return SparseCrossentropy(reduction=self.reduction, dtype=self.dtype)
