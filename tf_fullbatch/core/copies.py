"""Samples that are there in several copies: copy c of sample i has the id i + 2^40 c, so that its draws are its own."""

from typing import Any

import tensorflow as tf

from tf_fullbatch.core.micro_batch import Augmentation

_STRIDE = 2**40


def ids_of_copies(sample_ids: Any, copies: Any) -> Any:
    """The ids of copies.

    Args:
        sample_ids: int64, arrays or tensors; below 2^40, those of copy 0.
        copies: int64, their copies from 0, of the same shape or one.
    """
    return sample_ids + copies * _STRIDE


def sample_and_copy(ids: Any) -> tuple[Any, Any]:
    """(sample, copy) of ids; arrays, tensors or numbers."""
    return ids % _STRIDE, ids // _STRIDE


def copies_in_turn(augment: Augmentation, count: int) -> Augmentation:
    """An augmentation whose epoch e is copy e mod `count` of every sample."""

    def in_turn(images: tf.Tensor, sample_ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        return augment(images, sample_ids, epoch % count)

    return in_turn


def copies_at_once(augment: Augmentation) -> Augmentation:
    """An augmentation that makes of each id its copy of its sample, whatever the epoch."""

    def at_once(images: tf.Tensor, sample_ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        del epoch
        return augment(images, *sample_and_copy(sample_ids))

    return at_once
