"""Samples mixed with partners (MixUp, CutMix): other inputs, and a loss that is partly of the partner's target."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

Mix = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Maps (images, their partners', sample_ids, epoch) to (mixed images, the sample's own shares float32 `[batch]`)."""


class Partners(NamedTuple):
    """The samples that those of a micro-batch are mixed with, by a permutation of the whole set, new in every epoch.

    Attributes:
        inputs: As of the micro-batch.
        targets: As of the micro-batch.
        sample_ids: int64 `[batch]`.
    """

    inputs: Any
    targets: Any
    sample_ids: tf.Tensor


class Mixed(NamedTuple):
    """What mixed samples are of beside their own targets.

    Attributes:
        targets: Of the partners.
        share: `[batch]`, lambda: the loss of a sample is lambda l(own target) + (1 - lambda) l(partner's target), which
            is that of the mixed target where the loss is linear in it, as cross-entropies are, binary ones too.
    """

    targets: Any
    share: tf.Tensor
