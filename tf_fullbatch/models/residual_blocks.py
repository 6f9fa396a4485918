"""The features that a residual network computes."""

import keras

from tf_fullbatch.models.layers import LayerChoices, activate, conv_norm, mean_over_pixels
from tf_fullbatch.models.resnet import ResNet, ResNetSpec
from tf_fullbatch.models.shortcuts import shortcut
from tf_fullbatch.models.stems import apply_stem, checked_stem

BOTTLENECK_EXPANSION = 4


def residual_block(
    x: keras.KerasTensor,
    width: int,
    stride: int,
    bottleneck: bool,
    kind: str,
    choices: LayerChoices,
    prefix: str,
    zero_init: bool = False,
) -> keras.KerasTensor:
    """`activation(residual(x) + shortcut(x))` (He et al. 2016, figure 5).

    A bottleneck strides in its 3x3 convolution, as later publications do (He et al. 2019, ResNet-B).

    Args:
        x: `[batch, height, width, channels]`.
        width: Channels of the 3x3 convolutions.
        stride: 1, or 2 to halve the sides.
        bottleneck: 1x1, 3x3, 1x1 convolutions instead of two 3x3.
        kind: The shortcut, "auto" resolved.
        choices: The network's layer choices.
        prefix: Start of the layers' names.
        zero_init: The scale of the last norm is 0 at first, so that `residual(x)` is.

    Returns:
        `[batch, ceil(height / stride), ceil(width / stride), width]`; a bottleneck has four times `width`.
    """
    if bottleneck:
        filters = width * BOTTLENECK_EXPANSION
        y = conv_norm(x, width, 1, 1, choices, prefix, 1, active=True)
        y = conv_norm(y, width, 3, stride, choices, prefix, 2, active=True)
        y = conv_norm(y, filters, 1, 1, choices, prefix, 3, active=False, zero=zero_init)
    else:
        filters = width
        y = conv_norm(x, width, 3, stride, choices, prefix, 1, active=True)
        y = conv_norm(y, width, 3, 1, choices, prefix, 2, active=False, zero=zero_init)
    around = shortcut(x, filters, stride, kind, choices, prefix)
    y = keras.layers.Add(name=f"{prefix}_add")([y, around])
    return activate(y, choices, f"{prefix}_{choices.activation}")


def resnet_features(x: keras.KerasTensor, spec: ResNetSpec, settings: ResNet, seed: int) -> keras.KerasTensor:
    """The feature maps of a residual network's last stage, averaged over their pixels.

    Args:
        x: Normalised pixels, `[batch, height, width, channels]`.
        spec: The network's shape.
        settings: The network's settings; "auto" and a width of None are resolved here.
        seed: Seed of the initial weights.

    Returns:
        `[batch, features]`.

    Raises:
        ValueError: If a side of the image is shorter than the network's total stride.
    """
    stem = checked_stem(settings.stem, x, len(spec.blocks) - 1)
    kind = spec.default_shortcut if settings.shortcut == "auto" else settings.shortcut
    choices = LayerChoices.of(settings, seed)
    width = spec.width if settings.width is None else settings.width
    x = apply_stem(x, width, stem, choices)
    for stage, blocks in enumerate(spec.blocks):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            prefix = f"stage{stage + 1}_block{block}"
            x = residual_block(
                x,
                width * 2**stage,
                stride,
                spec.bottleneck,
                kind,
                choices,
                prefix,
                settings.zero_init_residual,
            )
    return mean_over_pixels(x)
