"""`flip`: every second image mirrored, left to right."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import PartSettings

if TYPE_CHECKING:
    from tf_fullbatch.core.micro_batch import Augmentation


@dataclass(frozen=True, kw_only=True, slots=True)
class Flip(PartSettings):
    """Left to right, with probability 1/2."""

    summary: ClassVar[str] = "left to right, every second image"
    source: ClassVar[str] = "Krizhevsky et al. 2012"

    def build(self, seed: int) -> "Augmentation":
        """`crop_pixels.crop_flip` without its crop, so that `crop4,flip` is crop_flip to the bit."""
        from tf_fullbatch.data.augment.crop_pixels import crop_flip

        return functools.partial(crop_flip, seed=seed, padding=0, flip=True)
