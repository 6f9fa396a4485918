"""MAX-UP: several augmented copies of each sample, of which the one of the highest loss counts."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_fullbatch.core import keras_internals
from tf_fullbatch.core.training_loss import TrainingLoss
from tf_fullbatch.core.weighted_means import samples_of
from tf_fullbatch.errors import UserError


def copies_of(
    augmentation: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
    inputs: tf.Tensor,
    sample_ids: tf.Tensor,
    epoch: tf.Tensor,
    copies: int,
) -> tf.Tensor:
    """m augmented copies of each sample, `[m batch, ...]`, copy after copy.

    Copy c of epoch t is what the augmentation draws in epoch `m t + c`, so that no two epochs share a copy, and a
    sample's copies depend on no other sample.

    Args:
        augmentation: See `micro_batch.Augmentation`.
        inputs: `[batch, ...]`.
        sample_ids: int64 `[batch]`.
        epoch: int64 scalar.
        copies: m.
    """
    return tf.concat([augmentation(inputs, sample_ids, epoch * copies + c) for c in range(copies)], axis=0)


def hardest(training_loss: TrainingLoss, targets: Any, outputs: Any, copies: int) -> Any:
    """The outputs of each sample's copy of the highest loss, the first of several; `[batch, ...]`.

    `1/N sum_i max_c l(x_i^c)` of these outputs has the gradient of the copy that attains the maximum alone: which one
    does is not differentiated. Sample weights and noise, factors that a sample's copies share, do not count in it.

    Args:
        training_loss: Of one output, with a loss per sample.
        targets: `[batch, ...]`, or a structure of that alone.
        outputs: `[m batch, ...]`, copy after copy, or a structure of that alone.
        copies: m.

    Raises:
        UserError: The loss is not one per sample, or outputs are masked.

    Source: Gong, Ren, Ye and Liu 2020 (arXiv 2002.09024), equation 3.
    """
    (target,), (output,) = tf.nest.flatten(targets), tf.nest.flatten(outputs)
    if keras_internals.mask_of(output) is not None:
        raise UserError("max_up is for outputs without a mask: leave it out.")
    repeated = tf.tile(target, [copies] + [1] * (target.shape.rank - 1))
    losses = training_loss.of_samples(repeated, tf.stop_gradient(output))
    by_copy = tf.reshape(losses, [copies, samples_of(target)])
    chosen = tf.one_hot(tf.argmax(by_copy, axis=0), copies, True, False, axis=0)
    of_copies = tf.reshape(output, tf.concat([tf.shape(by_copy), tf.shape(output)[1:]], axis=0))
    chosen = tf.reshape(chosen, tf.concat([tf.shape(by_copy), tf.ones_like(tf.shape(output)[1:])], axis=0))
    # Selected and summed, not gathered: the sum of one number and zeros is exact, and has derivatives in every mode.
    found = tf.reduce_sum(tf.where(chosen, of_copies, tf.zeros_like(of_copies)), axis=0)
    found = tf.ensure_shape(found, [target.shape[0], *output.shape[1:]])
    return tf.nest.pack_sequence_as(outputs, [found])
