"""RandAugment with keras-cv's operations and stateless draws: a function of seed, epoch and sample id.

keras-cv's own `RandAugment` layer draws from stateful generators. Here its policy is asked for the
operations and the distributions of their strengths, and the draws are `random_bits` of the sample. Images are
treated one at a time, so that not even rounding depends on the batch. This runs on the host CPU, also when
called on a GPU's data, and XLA cannot compile it (histograms have no XLA kernel): call it outside
`jit_compile`.

Source: Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space", 2019
(arXiv 1909.13719), as in keras-cv 0.9 at its default rate 10/11: ten operations and the identity, equally
likely.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_fullbatch.core.random_bits import RANDAUGMENT_STREAM, random_bits, uniform_int
from tf_fullbatch.errors import UserError

_DRAWS_PER_OPERATION = 4  # which operation, its strength, a second strength, the sign


def build_randaugment(
    *, seed: int | tf.Tensor, magnitude: float, augmentations_per_image: int
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Builds the augmentation.

    Args:
        seed: Seed of the draws, a Python int or a scalar int64 tensor.
        magnitude: Mean strength of the operations, 0 (weakest) to 1; it varies by keras-cv's default of 0.15.
        augmentations_per_image: Number of operations applied to an image, one after the other.

    Returns:
        A function of (images uint8 [batch, height, width, 3], sample_ids int64 [batch], epoch int64 scalar)
        to uint8 images of the same shape.

    Raises:
        UserError: keras-cv is not installed.
    """
    policy = _import_keras_cv().layers.RandAugment.get_standard_policy(
        value_range=(0, 255), magnitude=magnitude, magnitude_stddev=0.15
    )

    @tf.function  # keras-cv's equalization needs AutoGraph, whatever the caller was traced with
    def augment_one(image: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
        pixels = tf.cast(image, tf.float32)[tf.newaxis]
        for draws in tf.split(bits, augmentations_per_image):
            pixels = _apply_one(policy, pixels, tf.unstack(draws))
        return tf.cast(tf.clip_by_value(tf.round(pixels[0]), 0, 255), tf.uint8)

    def augment(images: tf.Tensor, sample_ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        if images.shape[-1] != 3:
            raise UserError(
                f"RandAugment needs images of 3 channels, these have {images.shape[-1]}; use 'crop_flip'"
            )
        draws = _DRAWS_PER_OPERATION * augmentations_per_image
        with tf.device("/CPU:0"):
            streams = tf.range(draws, dtype=tf.int64)[:, tf.newaxis] + RANDAUGMENT_STREAM
            bits = tf.transpose(random_bits(seed, epoch, sample_ids, streams))
            return tf.map_fn(lambda pair: augment_one(*pair), (images, bits), fn_output_signature=tf.uint8)

    return augment


def _import_keras_cv() -> Any:
    try:
        import keras_cv
    except ImportError as error:
        raise UserError(
            f"RandAugment needs keras-cv, which cannot be imported ({error}); "
            "run pip install 'tf-fullbatch[randaugment]', or choose another augmentation"
        ) from error
    return keras_cv


def _apply_one(policy: list[Any], pixels: tf.Tensor, draws: list[tf.Tensor]) -> tf.Tensor:
    """Applies to pixels [1, height, width, 3] the operation that the first draw names, or none."""
    which, *strengths = draws
    branches = [functools.partial(_operate, layer, pixels, *strengths) for layer in policy]
    branches.append(functools.partial(tf.identity, pixels))
    index = tf.cast(uniform_int(which, len(branches)), tf.int32)
    return tf.ensure_shape(tf.switch_case(index, branches), pixels.shape)


def _operate(layer: Any, pixels: tf.Tensor, *draws: tf.Tensor) -> tf.Tensor:
    """One keras-cv operation with its strength drawn from its own distribution."""
    strength = _STRENGTHS.get(type(layer).__name__)
    if strength is None:
        raise ValueError(
            f"{type(layer).__name__} of keras-cv's RandAugment is unknown here; use keras-cv 0.9"
        )
    return layer.augment_images(pixels, transformations=strength(layer, *draws))


# The strength of each operation, from (layer, first draw, second draw, sign draw), in the shapes that
# keras-cv's `get_random_transformation_batch` gives for a batch of one.


def _no_strength(*_: Any) -> None:
    return None


def _factor(layer: Any, first: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    return _draw(layer.factor, first, [1, 1, 1, 1])


def _brightness(layer: Any, first: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    return 255 * _factor(layer, first)


def _solarization(layer: Any, first: tf.Tensor, second: tf.Tensor, _: tf.Tensor) -> dict[str, tf.Tensor]:
    return {
        "additions": _draw(layer.addition_factor, first, [1, 1, 1, 1]),
        "thresholds": _draw(layer.threshold_factor, second, [1, 1, 1, 1]),
    }


def _shear(layer: Any, first: tf.Tensor, _: tf.Tensor, sign: tf.Tensor) -> dict[str, tf.Tensor]:
    direction = tf.where(uniform_int(sign, 2) > 0, -1.0, 1.0)
    return {
        "shear_x": direction * _draw(layer.x_factor, first, [1, 1]),
        "shear_y": direction * _draw(layer.y_factor, first, [1, 1]),
    }


def _translation(layer: Any, first: tf.Tensor, *_: tf.Tensor) -> dict[str, tf.Tensor]:
    height = _between(layer.height_lower, layer.height_upper, first)
    width = _between(layer.width_lower, layer.width_upper, first)
    return {
        "height_translations": tf.reshape(height, [1, 1]),
        "width_translations": tf.reshape(width, [1, 1]),
    }


_STRENGTHS: dict[str, Callable[..., Any]] = {
    "AutoContrast": _no_strength,
    "Equalization": _no_strength,
    "Solarization": _solarization,
    "RandomColorDegeneration": _factor,
    "RandomContrast": _factor,
    "RandomBrightness": _brightness,
    "RandomShear": _shear,
    "RandomTranslation": _translation,
}


def _draw(factor: Any, bits: tf.Tensor, shape: list[int]) -> tf.Tensor:
    """A value of a keras-cv factor sampler's distribution, from 32 random bits."""
    kind = type(factor).__name__
    if kind == "NormalFactorSampler":
        value = factor.mean + factor.stddev * tf.math.ndtri(_unit(bits))
        value = tf.clip_by_value(value, factor.min_value, factor.max_value)
    elif kind == "UniformFactorSampler":
        value = _between(factor.lower, factor.upper, bits)
    elif kind == "ConstantFactorSampler":
        value = tf.constant(factor.value, tf.float32)
    else:
        raise ValueError(f"keras-cv's {kind} is unknown here; use keras-cv 0.9")
    return tf.reshape(value, shape)


def _between(lower: float, upper: float, bits: tf.Tensor) -> tf.Tensor:
    return lower + (upper - lower) * _unit(bits)


def _unit(bits: tf.Tensor) -> tf.Tensor:
    """A float32 strictly between 0 and 1: (k + 1/2) / 2^23 of the upper 23 bits k, exact."""
    return (tf.cast(uniform_int(bits, 2**23), tf.float32) + 0.5) * 2.0**-23
