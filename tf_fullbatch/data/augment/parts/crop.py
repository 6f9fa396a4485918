"""`crop4`: a crop back to size at a random place of the padded image."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import PartSettings, padding_refusal
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    from tf_fullbatch.core.micro_batch import Augmentation


@dataclass(frozen=True, kw_only=True, slots=True)
class CropPart(PartSettings):
    """Settings of `crop_pixels.crop_flip` without its flip."""

    summary: ClassVar[str] = "from zero padding"
    number: ClassVar[str] = "padding"
    source: ClassVar[str] = "Lee et al. 2015 (1409.5185), He et al. 2016 (1512.03385)"

    padding: int = setting(4, "Pixels of black padding on each side.", minimum=1)

    def refusal(self, shape: Sequence[int]) -> str | None:
        """Every crop has pixels of the image."""
        return padding_refusal(self.padding, shape)

    def build(self, seed: int) -> "Augmentation":
        """Rows and columns are moved apart, by -padding to padding pixels, all alike."""
        from tf_fullbatch.data.augment.crop_pixels import crop_flip

        return functools.partial(crop_flip, seed=seed, padding=self.padding, flip=False)
