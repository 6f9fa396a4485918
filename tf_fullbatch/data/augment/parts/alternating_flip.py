"""`alternating_flip`: mirrored in every second epoch, so that two epochs see both sides of every image."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import PartSettings

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_fullbatch.core.micro_batch import Augmentation


@dataclass(frozen=True, kw_only=True, slots=True)
class AlternatingFlip(PartSettings):
    """Left to right: in epoch 0 a random half of the images, in epoch e those for which that plus e is odd."""

    summary: ClassVar[str] = "a random half in the first epoch, then in turn"
    source: ClassVar[str] = "Jordan 2024 (2404.00498)"

    def build(self, seed: int) -> "Augmentation":
        """Epochs 2k and 2k + 1 have each image as it is once and mirrored once, whatever the seed."""
        import tensorflow as tf

        from tf_fullbatch.core.random_bits import ALTERNATING_FLIP_STREAM, random_bits, uniform_int

        def flip(images: "tf.Tensor", sample_ids: "tf.Tensor", epoch: "tf.Tensor") -> "tf.Tensor":
            first = uniform_int(random_bits(seed, 0, sample_ids, ALTERNATING_FLIP_STREAM), 2)
            mirrored = (first + tf.cast(epoch, tf.int64)) % 2 == 1
            return tf.where(mirrored[:, None, None, None], tf.reverse(images, [2]), images)

        return flip
