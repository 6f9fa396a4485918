"""The first layers of a network of images, from pixels to channels."""

import keras

from tf_fullbatch.models.base import image_sides
from tf_fullbatch.models.layers import LayerChoices, conv_norm, padding_1d

STEM_STRIDES = {"cifar": 1, "imagenet": 4, "efficient": 4}

_LARGE_IMAGE_SIDE = 96


def resolve_stem(stem: str, height: int, width: int) -> str:
    """`stem`, with "auto" resolved by the image's shorter side: "cifar" below 96 pixels, else "imagenet"."""
    if stem != "auto":
        return stem
    return "cifar" if min(height, width) < _LARGE_IMAGE_SIDE else "imagenet"


def checked_stem(stem: str, x: keras.KerasTensor, halvings: int) -> str:
    """`stem`, with "auto" resolved by the images' size.

    Args:
        stem: What --stem names.
        x: Images, `[batch, height, width, channels]`.
        halvings: How often the network halves the sides after its stem.

    Raises:
        ValueError: If a side of the images is shorter than the network's total stride, or they are no images.
    """
    height, width = image_sides(x)
    stem = resolve_stem(stem, height, width)
    least = STEM_STRIDES[stem] * 2**halvings
    if min(height, width) < least:
        raise ValueError(
            f"Images of {height}x{width} pixels are too small: with the stem {stem!r} this network needs "
            f"sides of at least {least}. Use larger images, the stem 'cifar' or fewer stages."
        )
    return stem


def apply_stem(
    x: keras.KerasTensor, filters: int, stem: str, choices: LayerChoices, *, active: bool = True
) -> keras.KerasTensor:
    """The first layers, from pixels to `filters` channels.

    `cifar`: one 3x3 convolution. `imagenet`: 7x7 at stride 2, then max pooling (He et al. 2016, table 1).
    `efficient`: three 3x3 convolutions, the first at stride 2 and two of half the width, then max pooling (He
    et al. 2019, ResNet-C).

    Args:
        x: Normalised pixels, `[batch, height, width, channels]`.
        filters: Output channels.
        stem: The stem, "auto" resolved.
        choices: The network's layer choices.
        active: Whether the last convolution's outputs are activated.

    Returns:
        `[batch, height, width, filters]` for `cifar`; both sides divided by 4 and rounded up for the others.
    """
    if stem == "cifar":
        return conv_norm(x, filters, 3, 1, choices, "stem", active=active)
    if stem == "imagenet":
        x = conv_norm(x, filters, 7, 2, choices, "stem", active=active)
    else:
        half = max(filters // 2, 1)
        x = conv_norm(x, half, 3, 2, choices, "stem", 1, active=True)
        x = conv_norm(x, half, 3, 1, choices, "stem", 2, active=True)
        x = conv_norm(x, filters, 3, 1, choices, "stem", 3, active=active)
    return _max_pool(x)


def _max_pool(x: keras.KerasTensor) -> keras.KerasTensor:
    """3x3 maxima at stride 2, padded symmetrically.

    Second derivatives are right outside XLA. XLA (TensorFlow 2.21) compares in bfloat16 there: it takes the
    wrong one of two nearly equal pixels, and it has none for bfloat16 inputs.
    """
    rows, columns = (padding_1d(size, 3, 2) for size in x.shape[1:3])
    symmetric = rows[0] == rows[1] and columns[0] == columns[1]
    if not symmetric:
        # Not zeros: an activation such as silu has negative values, which the padding must not exceed.
        x = keras.ops.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=-float("inf"))
    padding = "same" if symmetric else "valid"
    return keras.layers.MaxPooling2D(3, strides=2, padding=padding, name="stem_pool")(x)
