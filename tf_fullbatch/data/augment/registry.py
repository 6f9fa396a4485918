"""The augmentations there are."""

from tf_fullbatch.data.augment.base import AugmentationSettings, NoAugmentation
from tf_fullbatch.data.augment.crop import Crop, CropFlip
from tf_fullbatch.data.augment.randaugment import RandAugment

AUGMENTATIONS: dict[str, type[AugmentationSettings]] = {
    "none": NoAugmentation,
    "crop": Crop,
    "crop_flip": CropFlip,
    "randaugment": RandAugment,
}
