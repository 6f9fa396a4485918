"""The features that a DenseNet computes."""

import keras

from tf_fullbatch.models.densenet import DenseNet, DenseNetSpec
from tf_fullbatch.models.layers import LayerChoices, activate, convolution, mean_over_pixels, normalise
from tf_fullbatch.models.stems import apply_stem, checked_stem

BOTTLENECK = 4
"""Channels between a layer's two convolutions, in growth rates."""


def densenet_features(
    x: keras.KerasTensor, spec: DenseNetSpec, settings: DenseNet, seed: int
) -> keras.KerasTensor:
    """The channels of all layers of the last block, normalised, activated and averaged over their pixels.

    DenseNet-BC (Huang et al. 2017, sections 3 and 4): a stem of `2 k` channels, `k` the growth rate; blocks of layers,
    and between two blocks a transition. The stem `cifar` is a 3x3 convolution alone, which the first layer
    normalises; the others are those of a residual network (table 1). No dropout.

    Args:
        x: Normalised pixels, `[batch, height, width, channels]`.
        spec: The network's shape.
        settings: The network's settings; "auto" and a growth rate of None are resolved here.
        seed: Seed of the initial weights.

    Returns:
        `[batch, features]`.

    Raises:
        ValueError: If a side of the image is shorter than the network's total stride.
    """
    choices = LayerChoices.of(settings, seed)
    stem = checked_stem(settings.stem, x, len(spec.blocks) - 1)
    growth = settings.growth_rate or spec.growth
    if stem == "cifar":
        x = convolution(x, 2 * growth, 3, 1, choices, "stem_conv")
    else:
        x = apply_stem(x, 2 * growth, stem, choices)
    for stage, layers in enumerate(spec.blocks, 1):
        for layer in range(layers):
            x = dense_layer(x, growth, choices, f"stage{stage}_block{layer}")
        if stage < len(spec.blocks):
            x = transition(x, choices, f"transition{stage}")
    return mean_over_pixels(_active(x, choices, "last"))


def dense_layer(x: keras.KerasTensor, growth: int, choices: LayerChoices, prefix: str) -> keras.KerasTensor:
    """`[x, H(x)]`; H: norm, activation, 1x1 convolution to `4 k` channels, norm, activation, 3x3 convolution to `k`.

    Args:
        x: `[batch, height, width, channels]`.
        growth: k, the channels that are added.
        choices: The network's layer choices.
        prefix: Start of the layers' names.

    Returns:
        `[batch, height, width, channels + growth]`.
    """
    y = convolution(_active(x, choices, prefix, 1), BOTTLENECK * growth, 1, 1, choices, f"{prefix}_conv1")
    y = convolution(_active(y, choices, prefix, 2), growth, 3, 1, choices, f"{prefix}_conv2")
    return keras.layers.Concatenate(name=f"{prefix}_concat")([x, y])


def transition(x: keras.KerasTensor, choices: LayerChoices, prefix: str) -> keras.KerasTensor:
    """Norm, activation, 1x1 convolution to half the channels, means of 2x2 pixels (an odd last one is left out)."""
    y = convolution(_active(x, choices, prefix), x.shape[-1] // 2, 1, 1, choices, f"{prefix}_conv")
    return keras.layers.AveragePooling2D(2, name=f"{prefix}_pool")(y)


def _active(
    x: keras.KerasTensor, choices: LayerChoices, prefix: str, index: int | str = ""
) -> keras.KerasTensor:
    """Norm and activation."""
    x = normalise(x, choices, f"{prefix}_norm{index}")
    return activate(x, choices, f"{prefix}_{choices.activation}{index}")
