"""`cutout8`: a square of one level at a random place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import PartSettings
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_fullbatch.core.micro_batch import Augmentation


@dataclass(frozen=True, kw_only=True, slots=True)
class Cutout(PartSettings):
    """A square whose middle is any pixel alike; what lies outside of the image is lost."""

    summary: ClassVar[str] = "a square is blacked out"
    number: ClassVar[str] = "size"
    source: ClassVar[str] = "DeVries and Taylor 2017 (1708.04552); 16 for CIFAR-10"

    size: int = setting(16, "Side of the square, in pixels.", minimum=1)
    level: int = setting(
        0, "Level that fills the square; the paper fills it with the mean.", minimum=0, maximum=255
    )

    def refusal(self, shape: Sequence[int]) -> str | None:
        """The square is no larger than the image."""
        if self.size <= min(shape[:2]):
            return None
        return f"cuts out {self.size}x{self.size} pixels, but these images are {shape[0]}x{shape[1]}"

    def build(self, seed: int) -> "Augmentation":
        """Rows and columns y with middle - size // 2 <= y < middle - size // 2 + size are filled."""
        import tensorflow as tf

        from tf_fullbatch.core.random_bits import CUTOUT_STREAMS, random_bits, uniform_int

        def within(bits: "tf.Tensor", side: int) -> "tf.Tensor":
            begin = uniform_int(bits, side)[:, tf.newaxis] - self.size // 2
            places = tf.range(side, dtype=tf.int64)
            return (places >= begin) & (places < begin + self.size)

        def cutout(images: "tf.Tensor", sample_ids: "tf.Tensor", epoch: "tf.Tensor") -> "tf.Tensor":
            streams = tf.constant(CUTOUT_STREAMS, tf.int64)[:, tf.newaxis]
            bits = random_bits(seed, epoch, sample_ids, streams)
            rows, columns = within(bits[0], images.shape[1]), within(bits[1], images.shape[2])
            cut = (rows[:, :, tf.newaxis] & columns[:, tf.newaxis, :])[..., tf.newaxis]
            return tf.where(cut, tf.constant(self.level, tf.uint8), images)

        return cutout
