"""`cutmix`: a box of another image of the set within each image, and its loss with that of the other's target."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import MixSettings
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_fullbatch.core.mixing import Mix


@dataclass(frozen=True, kw_only=True, slots=True)
class CutMix(MixSettings):
    """A box of sides sqrt(1 - lambda), lambda of Beta(alpha, alpha), its middle any pixel, clipped at the edges.

    lambda is then what the clipped box leaves of the image.
    """

    summary: ClassVar[str] = "a box of another image of the set"
    number: ClassVar[str] = "alpha"
    source: ClassVar[str] = "Yun et al. 2019 (1905.04899); probability 0.5 for CIFAR"

    alpha: float = setting(1.0, "Of the Beta distribution of shares.", above=0)
    probability: float = setting(1.0, "Of mixing an image at all.", above=0, maximum=1)

    def build_mix(self, seed: int) -> "Mix":
        """Sides are rounded down to whole pixels, and halved downwards on both sides of the middle."""
        import numpy as np
        import tensorflow as tf

        from tf_fullbatch.core.random_bits import CUTMIX_STREAM, uniform_int
        from tf_fullbatch.data.augment import mixing_shares

        cut = np.sqrt(1 - mixing_shares.beta_quantiles(self.alpha) / mixing_shares.ONE)

        def within(middle: "tf.Tensor", half: "tf.Tensor", side: int) -> "tf.Tensor":
            places, at = tf.range(side, dtype=tf.int64), uniform_int(middle, side)
            return (places >= (at - half)[:, tf.newaxis]) & (places < (at + half)[:, tf.newaxis])

        def mix(
            images: "tf.Tensor", partners: "tf.Tensor", sample_ids: "tf.Tensor", epoch: "tf.Tensor"
        ) -> "tuple[tf.Tensor, tf.Tensor]":
            height, width = images.shape[1:3]
            whether, which, *middles = mixing_shares.draws(seed, epoch, sample_ids, CUTMIX_STREAM, 4)
            inside = []
            for middle, side in zip(middles, (height, width), strict=True):
                halves = np.floor(cut * side).astype(np.int64) // 2
                half = mixing_shares.drawn(halves, 0, self.probability, (whether, which))
                inside.append(within(middle, half, side))
            box = inside[0][:, :, tf.newaxis] & inside[1][:, tf.newaxis, :]
            left = tf.reduce_sum(1 - tf.cast(box, tf.float32), [1, 2]) / (height * width)
            return tf.where(box[..., tf.newaxis], partners, images), left

        return mix
