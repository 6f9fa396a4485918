"""--augmentation=randaugment: crop and flip, then RandAugment."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import AugmentationSettings, padding
from tf_fullbatch.data.augment.crop import CropFlip
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_fullbatch.core.micro_batch import Augmentation


@dataclass(frozen=True, kw_only=True, slots=True)
class RandAugment(AugmentationSettings):
    """Settings of `keras_cv_randaugment`."""

    summary: ClassVar[str] = "crop_flip and keras-cv's RandAugment"
    channels: ClassVar[int | None] = 3

    augmentation_padding: int = padding()
    randaugment_magnitude: float = setting(
        0.3, "RandAugment's magnitude as a fraction of each operation's largest.", minimum=0, maximum=1
    )
    randaugment_operations: int = setting(2, "RandAugment's operations per image.", minimum=1)

    def build(self, seed: int) -> "Augmentation":
        """Crop and flip, then RandAugment.

        Raises:
            UserError: keras-cv is not installed.
        """
        from tf_fullbatch.data.augment.keras_cv_randaugment import build_randaugment

        cropped = CropFlip(augmentation_padding=self.augmentation_padding).build(seed)
        policy = build_randaugment(
            seed=seed,
            magnitude=self.randaugment_magnitude,
            augmentations_per_image=self.randaugment_operations,
        )

        def augment(images: "tf.Tensor", sample_ids: "tf.Tensor", epoch: "tf.Tensor") -> "tf.Tensor":
            return policy(cropped(images, sample_ids, epoch), sample_ids, epoch)

        return augment
