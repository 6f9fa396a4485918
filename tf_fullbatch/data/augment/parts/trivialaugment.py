"""`trivialaugment`: one operation of 14 at one of 31 strengths, all equally likely."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import PartSettings

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_fullbatch.core.micro_batch import Augmentation
    from tf_fullbatch.data.augment.moves import MoveTable

_STRENGTHS = 31


@dataclass(frozen=True, kw_only=True, slots=True)
class TrivialAugment(PartSettings):
    """The paper's TA (Wide): moves of up to 32 pixels, whatever the size of the image."""

    summary: ClassVar[str] = "wide: one random operation"
    channels: ClassVar[int | None] = 3
    source: ClassVar[str] = "Mueller and Hutter 2021 (2103.10158)"

    def build(self, seed: int) -> "Augmentation":
        """Operation, strength and sign are drawn apart."""
        import tensorflow as tf

        from tf_fullbatch.core.random_bits import TRIVIALAUGMENT_STREAM, random_bits, uniform_int
        from tf_fullbatch.data.augment.moves import MoveTable
        from tf_fullbatch.data.augment.strengths import OPERATIONS, WIDE

        @functools.cache
        def table(height: int, width: int) -> "MoveTable":
            pairs = (
                WIDE.both_signs(name, k / (_STRENGTHS - 1), height, width)
                for name in OPERATIONS
                for k in range(_STRENGTHS)
            )
            return MoveTable([move for pair in pairs for move in pair], height, width)

        def augment(images: "tf.Tensor", sample_ids: "tf.Tensor", epoch: "tf.Tensor") -> "tf.Tensor":
            streams = TRIVIALAUGMENT_STREAM + tf.range(3, dtype=tf.int64)[:, tf.newaxis]
            which, strength, sign = tf.unstack(random_bits(seed, epoch, sample_ids, streams))
            rows = uniform_int(which, len(OPERATIONS)) * _STRENGTHS + uniform_int(strength, _STRENGTHS)
            rows = 2 * rows + uniform_int(sign, 2)
            return table(images.shape[1], images.shape[2]).apply(images, rows)

        return augment
