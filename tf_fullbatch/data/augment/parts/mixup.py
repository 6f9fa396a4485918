"""`mixup0.2`: each image mixed with another one of the set, and its loss with that of the other's target."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import MixSettings
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_fullbatch.core.mixing import Mix


@dataclass(frozen=True, kw_only=True, slots=True)
class MixUp(MixSettings):
    """lambda x + (1 - lambda) x', lambda of Beta(alpha, alpha) for each image; rounded to whole levels."""

    summary: ClassVar[str] = "with other images of the set"
    number: ClassVar[str] = "alpha"
    source: ClassVar[str] = "Zhang et al. 2018 (1710.09412); alpha 1 for CIFAR-10, 0.1 to 0.4 for ImageNet"

    alpha: float = setting(1.0, "Of the Beta distribution of shares.", above=0)
    probability: float = setting(1.0, "Of mixing an image at all.", above=0, maximum=1)

    def build_mix(self, seed: int) -> "Mix":
        """The authors' code draws one lambda for a batch, which would depend on the micro-batch."""
        import tensorflow as tf

        from tf_fullbatch.core.random_bits import MIXUP_STREAM
        from tf_fullbatch.data.augment import mixing_shares

        table = mixing_shares.beta_quantiles(self.alpha)

        def mix(
            images: "tf.Tensor", partners: "tf.Tensor", sample_ids: "tf.Tensor", epoch: "tf.Tensor"
        ) -> "tuple[tf.Tensor, tf.Tensor]":
            whether, which = mixing_shares.draws(seed, epoch, sample_ids, MIXUP_STREAM, 2)
            share = mixing_shares.drawn(table, mixing_shares.ONE, self.probability, (whether, which))
            own = share[:, tf.newaxis, tf.newaxis, tf.newaxis]
            total = own * tf.cast(images, tf.int64) + (mixing_shares.ONE - own) * tf.cast(partners, tf.int64)
            mixed = tf.bitwise.right_shift(total + mixing_shares.ONE // 2, tf.constant(16, tf.int64))
            return tf.cast(mixed, tf.uint8), tf.cast(share, tf.float32) / mixing_shares.ONE

        return mix
