"""--augmentation=crop and crop_flip: a random crop, without and with a random flip."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import AugmentationSettings, padding, padding_refusal

if TYPE_CHECKING:
    from tf_fullbatch.core.micro_batch import Augmentation


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop(AugmentationSettings):
    """A crop back to size at a random place of the padded image."""

    summary: ClassVar[str] = "with zero padding"
    flip: ClassVar[bool] = False

    augmentation_padding: int = padding()

    def refusal(self, shape: Sequence[int]) -> str | None:
        """Every crop has pixels of the image."""
        return padding_refusal(self.augmentation_padding, shape)

    def build(self, seed: int) -> "Augmentation":
        """`crop_pixels.crop_flip`, bound to the settings."""
        from tf_fullbatch.data.augment.crop_pixels import crop_flip

        return functools.partial(crop_flip, seed=seed, padding=self.augmentation_padding, flip=self.flip)


@dataclass(frozen=True, kw_only=True, slots=True)
class CropFlip(Crop):
    """The crop, then every second image mirrored."""

    summary: ClassVar[str] = "and horizontal flip, as published for CIFAR"
    as_list: ClassVar[str] = "crop4,flip"
    flip: ClassVar[bool] = True
