"""The augmentations there are: those that are a whole, and the parts of lists."""

from tf_fullbatch.data.augment.base import AugmentationSettings, NoAugmentation, PartSettings
from tf_fullbatch.data.augment.crop import Crop, CropFlip
from tf_fullbatch.data.augment.parts.alternating_flip import AlternatingFlip
from tf_fullbatch.data.augment.parts.augmix import AugMix
from tf_fullbatch.data.augment.parts.autoaugment import AutoAugment
from tf_fullbatch.data.augment.parts.crop import CropPart
from tf_fullbatch.data.augment.parts.cutmix import CutMix
from tf_fullbatch.data.augment.parts.cutout import Cutout
from tf_fullbatch.data.augment.parts.flip import Flip
from tf_fullbatch.data.augment.parts.jitter import Jitter
from tf_fullbatch.data.augment.parts.mixup import MixUp
from tf_fullbatch.data.augment.parts.randaugment import RandAugment
from tf_fullbatch.data.augment.parts.translate import Translate
from tf_fullbatch.data.augment.parts.trivialaugment import TrivialAugment

AUGMENTATIONS: dict[str, type[AugmentationSettings]] = {
    "none": NoAugmentation,
    "crop": Crop,
    "crop_flip": CropFlip,
}

PARTS: dict[str, type[PartSettings]] = {
    "crop": CropPart,
    "flip": Flip,
    "alternating_flip": AlternatingFlip,
    "translate": Translate,
    "cutout": Cutout,
    "jitter": Jitter,
    "randaugment": RandAugment,
    "autoaugment": AutoAugment,
    "trivialaugment": TrivialAugment,
    "augmix": AugMix,
    "mixup": MixUp,
    "cutmix": CutMix,
}
