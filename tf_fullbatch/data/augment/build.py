"""Name -> augmentation: functions of (images, sample_ids, epoch), stateless (see `core.random_bits`).

A fixed data set of N augmented copies is epochs 0..N-1, over and over.
"""

from collections.abc import Callable

import tensorflow as tf

from tf_fullbatch.core.micro_batch import Augmentation
from tf_fullbatch.data.augment.crop import crop_flip


def build_augmentation(
    name: str,
    *,
    padding: int,
    seed: int | tf.Tensor,
    magnitude: float = 0.3,
    augmentations_per_image: int = 2,
) -> Augmentation | None:
    """Builds the augmentation of a name in `AUGMENTATIONS`.

    Args:
        name: A key of `AUGMENTATIONS`.
        padding: Pixels of black padding on each side before the random crop.
        seed: Seed of the augmentation, a Python int or a scalar int64 tensor.
        magnitude: Strength of RandAugment's operations, 0 to 1; used by "randaugment" alone.
        augmentations_per_image: Operations RandAugment applies to an image; used by "randaugment" alone.

    Returns:
        A function of (images uint8 [batch, height, width, channels], sample_ids int64 [batch], epoch int64
        scalar) to images of the same shape and type; None for "none".

    Raises:
        ValueError: Unknown name, or negative padding.
        UserError: RandAugment's package is missing, or its arguments are out of range.
    """
    if name not in AUGMENTATIONS:
        raise ValueError(f"augmentation {name!r} is unknown; choose one of {', '.join(AUGMENTATIONS)}")
    if padding < 0:
        raise ValueError(f"padding={padding} is negative; give 0 or more pixels")
    return AUGMENTATIONS[name](
        padding=padding,
        seed=seed,
        magnitude=magnitude,
        augmentations_per_image=augmentations_per_image,
    )


def _crop(*, padding: int, seed: int | tf.Tensor, flip: bool) -> Augmentation:
    """The crop, with or without the flip, bound to its settings."""

    def augment(images: tf.Tensor, sample_ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        return crop_flip(images, sample_ids, epoch, seed, padding=padding, flip=flip)

    return augment


def _randaugment(
    *, padding: int, seed: int | tf.Tensor, magnitude: float, augmentations_per_image: int
) -> Augmentation:
    """Crop and flip, then RandAugment."""
    from tf_fullbatch.data.augment import randaugment

    cropped = _crop(padding=padding, seed=seed, flip=True)
    policy = randaugment.build_randaugment(
        seed=seed, magnitude=magnitude, augmentations_per_image=augmentations_per_image
    )

    def augment(images: tf.Tensor, sample_ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        return policy(cropped(images, sample_ids, epoch), sample_ids, epoch)

    return augment


AUGMENTATIONS: dict[str, Callable[..., Augmentation | None]] = {
    "none": lambda **_: None,
    "crop": lambda *, padding, seed, **_: _crop(padding=padding, seed=seed, flip=False),
    "crop_flip": lambda *, padding, seed, **_: _crop(padding=padding, seed=seed, flip=True),
    "randaugment": _randaugment,
}
