"""`jitter(brightness=0.4,...)`: brightness, contrast, saturation and hue, each by a random factor, in random order."""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import PartSettings
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.fields import check_ranges, setting

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_fullbatch.core.micro_batch import Augmentation


@dataclass(frozen=True, kw_only=True, slots=True)
class Jitter(PartSettings):
    """torchvision's ColorJitter: factors uniform in [max(0, 1 - x), 1 + x], the hue moved by -x to x of its circle."""

    summary: ClassVar[str] = "of brightness, contrast, saturation, hue"
    channels: ClassVar[int | None] = 3
    source: ClassVar[str] = "torchvision's ColorJitter; Krizhevsky et al. 2012, Howard 2013 (1312.5402)"

    brightness: float = setting(0.4, "Largest change of the factor on all levels.", minimum=0)
    contrast: float = setting(0.4, "Largest change of the factor on distances from the mean grey.", minimum=0)
    saturation: float = setting(
        0.4, "Largest change of the factor on distances from the pixel's grey.", minimum=0
    )
    hue: float = setting(0.0, "Furthest move of the hue, of its whole circle.", minimum=0, maximum=0.5)

    def __post_init__(self) -> None:
        check_ranges(self)
        if not any((self.brightness, self.contrast, self.saturation, self.hue)):
            raise UserError("--brightness=0,contrast=0,saturation=0,hue=0 changes nothing: leave jitter out.")

    def build(self, seed: int) -> "Augmentation":
        """The four in an order of 24, all alike, each rounded to whole levels as Pillow does."""
        import tensorflow as tf

        from tf_fullbatch.core.random_bits import JITTER_STREAMS, random_bits, uniform_int
        from tf_fullbatch.data.augment.pixels import blend, hue

        orders = list(itertools.permutations(range(4)))
        furthest = hue.fixed(self.hue)

        def between(bits: "tf.Tensor", low: int, high: int) -> "tf.Tensor":
            return low + uniform_int(bits, high - low + 1)

        def jitter(images: "tf.Tensor", sample_ids: "tf.Tensor", epoch: "tf.Tensor") -> "tf.Tensor":
            streams = tf.constant(JITTER_STREAMS, tf.int64)[:, tf.newaxis]
            order, *bits, turn = tf.unstack(random_bits(seed, epoch, sample_ids, streams))
            order = tf.gather(tf.constant(orders, tf.int64), uniform_int(order, len(orders)))
            widths = (self.brightness, self.contrast, self.saturation)
            factors = [
                between(one, blend.fixed(max(0.0, 1 - width)), blend.fixed(1 + width))
                for one, width in zip(bits, widths, strict=True)
            ]
            of_each = tf.stack([*factors, tf.fill(tf.shape(turn), tf.constant(blend.ONE, tf.int64))], 1)
            for now in tf.unstack(order, axis=1):
                changed = blend.blended(towards(images, now), images, tf.gather(of_each, now, batch_dims=1))
                if furthest:
                    turned = hue.turned(images, between(turn, -furthest, furthest))
                    changed = tf.where((now == 3)[:, None, None, None], turned, changed)
                images = changed
            return images

        def towards(images: "tf.Tensor", now: "tf.Tensor") -> "tf.Tensor":
            grey = blend.grey(images)
            mean = blend.mean_grey(grey)
            which = now[:, None, None, None]
            return tf.where(which == 0, tf.zeros_like(grey), tf.where(which == 1, mean, grey))

        return jitter
