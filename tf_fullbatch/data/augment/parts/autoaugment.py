"""`autoaugment`: one of the 25 pairs of operations that were found for CIFAR-10."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import PartSettings

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_fullbatch.core.micro_batch import Augmentation
    from tf_fullbatch.data.augment.moves import MoveTable

Step = tuple[str, int, int]

PAIRS: tuple[tuple[Step, Step], ...] = (
    (("invert", 1, 0), ("contrast", 2, 6)),
    (("rotate", 7, 2), ("translate_x", 3, 9)),
    (("sharpness", 8, 1), ("sharpness", 9, 3)),
    (("shear_y", 5, 8), ("translate_y", 7, 9)),
    (("autocontrast", 5, 0), ("equalize", 9, 0)),
    (("shear_y", 2, 7), ("posterize", 3, 7)),
    (("color", 4, 3), ("brightness", 6, 7)),
    (("sharpness", 3, 9), ("brightness", 7, 9)),
    (("equalize", 6, 0), ("equalize", 5, 0)),
    (("contrast", 6, 7), ("sharpness", 6, 5)),
    (("color", 7, 7), ("translate_x", 5, 8)),
    (("equalize", 3, 0), ("autocontrast", 4, 0)),
    (("translate_y", 4, 3), ("sharpness", 2, 6)),
    (("brightness", 9, 6), ("color", 2, 8)),
    (("solarize", 5, 2), ("invert", 0, 0)),
    (("equalize", 2, 0), ("autocontrast", 6, 0)),
    (("equalize", 2, 0), ("equalize", 6, 0)),
    (("color", 9, 9), ("equalize", 6, 0)),
    (("autocontrast", 8, 0), ("solarize", 2, 8)),
    (("brightness", 1, 3), ("color", 7, 0)),
    (("solarize", 4, 5), ("autocontrast", 9, 0)),
    (("translate_y", 9, 9), ("translate_y", 7, 9)),
    (("autocontrast", 9, 0), ("solarize", 8, 3)),
    (("equalize", 8, 0), ("invert", 1, 0)),
    (("translate_y", 7, 9), ("autocontrast", 9, 0)),
)
"""(operation, tenths of the probability that it is done, strength 0 to 9) of both steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoAugment(PartSettings):
    """Cubuk et al. 2019; theirs stands between flip and cutout: crop4,flip,autoaugment,cutout16."""

    summary: ClassVar[str] = "the policy found for CIFAR-10"
    channels: ClassVar[int | None] = 3
    source: ClassVar[str] = "Cubuk et al. 2019 (1805.09501)"

    def build(self, seed: int) -> "Augmentation":
        """The pair is drawn, and of both steps whether it is done and its sign."""
        import tensorflow as tf

        from tf_fullbatch.core.random_bits import AUTOAUGMENT_STREAM, random_bits, uniform_int
        from tf_fullbatch.data.augment.moves import Move, MoveTable
        from tf_fullbatch.data.augment.strengths import AUTOAUGMENT

        steps = [step for pair in PAIRS for step in pair]

        @functools.cache
        def table(height: int, width: int) -> "MoveTable":
            pairs = (AUTOAUGMENT.both_signs(name, level / 9, height, width) for name, _, level in steps)
            return MoveTable([*(move for pair in pairs for move in pair), Move("identity")], height, width)

        def augment(images: "tf.Tensor", sample_ids: "tf.Tensor", epoch: "tf.Tensor") -> "tf.Tensor":
            streams = AUTOAUGMENT_STREAM + tf.range(5, dtype=tf.int64)[:, tf.newaxis]
            pair, *draws = tf.unstack(random_bits(seed, epoch, sample_ids, streams))
            pair = uniform_int(pair, len(PAIRS))
            tenths = tf.constant([tenth for _, tenth, _ in steps], tf.int64)
            for i in range(2):
                step = 2 * pair + i
                done = uniform_int(draws[2 * i], 10) < tf.gather(tenths, step)
                rows = tf.where(done, 2 * step + uniform_int(draws[2 * i + 1], 2), 2 * len(steps))
                images = table(images.shape[1], images.shape[2]).apply(images, rows)
            return images

        return augment
