"""`randaugment(n=2,m=9)`: n operations of 14, all equally likely, of one strength."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import PartSettings
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_fullbatch.core.micro_batch import Augmentation
    from tf_fullbatch.data.augment.moves import MoveTable


@dataclass(frozen=True, kw_only=True, slots=True)
class RandAugment(PartSettings):
    """Cubuk et al. 2019 with torchvision's 31 strengths, m of 0..30: three times the paper's of 0..10.

    The paper's Wide ResNet-28-10 on CIFAR-10 has n 3 and strength 5, here randaugment(n=3,m=15).
    """

    summary: ClassVar[str] = "n random operations"
    channels: ClassVar[int | None] = 3
    source: ClassVar[str] = "Cubuk et al. 2019 (1909.13719)"

    n: int = setting(2, "Operations on each image, one after the other.", minimum=1, maximum=100)
    m: int = setting(9, "Strength, 0 to 30; three times the paper's of 10.", minimum=0, maximum=30)

    def build(self, seed: int) -> "Augmentation":
        """Each operation and its sign are drawn apart."""
        import tensorflow as tf

        from tf_fullbatch.core.random_bits import RANDAUGMENT_STREAM, random_bits, uniform_int
        from tf_fullbatch.data.augment.moves import MoveTable
        from tf_fullbatch.data.augment.strengths import AUTOAUGMENT, OPERATIONS

        @functools.cache
        def table(height: int, width: int) -> "MoveTable":
            pairs = (AUTOAUGMENT.both_signs(name, self.m / 30, height, width) for name in OPERATIONS)
            return MoveTable([move for pair in pairs for move in pair], height, width)

        def augment(images: "tf.Tensor", sample_ids: "tf.Tensor", epoch: "tf.Tensor") -> "tf.Tensor":
            streams = RANDAUGMENT_STREAM + tf.range(2 * self.n, dtype=tf.int64)[:, tf.newaxis]
            bits = tf.unstack(random_bits(seed, epoch, sample_ids, streams))
            for which, sign in zip(bits[::2], bits[1::2], strict=True):
                rows = 2 * uniform_int(which, len(OPERATIONS)) + uniform_int(sign, 2)
                images = table(images.shape[1], images.shape[2]).apply(images, rows)
            return images

        return augment
