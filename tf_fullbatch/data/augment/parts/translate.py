"""`translate2`: images moved by some pixels, what comes in mirrored at the edge."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import PartSettings
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_fullbatch.core.micro_batch import Augmentation


@dataclass(frozen=True, kw_only=True, slots=True)
class Translate(PartSettings):
    """A crop at a random place of the image padded by its own reflection, the edge not repeated."""

    summary: ClassVar[str] = "moved, reflected at the edge"
    number: ClassVar[str] = "pixels"
    source: ClassVar[str] = "Jordan 2024 (2404.00498)"

    pixels: int = setting(2, "Furthest move each way, in pixels.", minimum=1)

    def refusal(self, shape: Sequence[int]) -> str | None:
        """A reflection is no longer than the image without its edge."""
        if self.pixels < min(shape[:2]):
            return None
        return f"moves by {self.pixels} pixels, but these images are {shape[0]}x{shape[1]}"

    def build(self, seed: int) -> "Augmentation":
        """Rows and columns are moved apart, by -pixels to pixels, all alike."""
        import tensorflow as tf

        from tf_fullbatch.core.random_bits import TRANSLATE_STREAMS, random_bits, uniform_int
        from tf_fullbatch.data.augment.pixels.gather import gather_pixels

        def reflected(moves: "tf.Tensor", side: int) -> "tf.Tensor":
            places = tf.abs(moves[:, tf.newaxis] + tf.range(side, dtype=tf.int64))
            return side - 1 - tf.abs(side - 1 - places)

        def translate(images: "tf.Tensor", sample_ids: "tf.Tensor", epoch: "tf.Tensor") -> "tf.Tensor":
            streams = tf.constant(TRANSLATE_STREAMS, tf.int64)[:, tf.newaxis]
            moves = (
                uniform_int(random_bits(seed, epoch, sample_ids, streams), 2 * self.pixels + 1) - self.pixels
            )
            rows = reflected(moves[0], images.shape[1])[:, :, tf.newaxis]
            return gather_pixels(images, rows, reflected(moves[1], images.shape[2])[:, tf.newaxis, :])

        return translate
