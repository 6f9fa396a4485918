"""The features that a VGG computes."""

from collections.abc import Sequence

import keras

from tf_fullbatch.models.layers import (
    LayerChoices,
    activate,
    convolution,
    layer_seed,
    mean_over_pixels,
    normalise,
)
from tf_fullbatch.models.vgg import VGG

WIDTH = 64
HIDDEN = 64
"""Units of a hidden layer of the classifier, in widths: 4,096 where the width is 64."""

_STDDEV = 0.01


def vgg_maps(
    x: keras.KerasTensor, stages: Sequence[tuple[int, int]], settings: VGG, seed: int
) -> keras.KerasTensor:
    """The feature maps after the last pooling (Simonyan & Zisserman 2015, section 2.1).

    Args:
        x: Normalised pixels, `[batch, height, width, channels]`.
        stages: (3x3 convolutions, their channels) before each pooling.
        settings: The network's settings.
        seed: Seed of the initial weights.

    Returns:
        `[batch, max(height // 32, 1), max(width // 32, 1), channels]`.
    """
    choices = LayerChoices.of(settings, seed)
    for stage, (convolutions, width) in enumerate(stages, 1):
        for i in range(1, convolutions + 1):
            prefix = f"stage{stage}"
            x = convolution(x, width, 3, 1, choices, f"{prefix}_conv{i}", bias=settings.conv_bias)
            x = normalise(x, choices, f"{prefix}_norm{i}")
            x = activate(x, choices, f"{prefix}_{choices.activation}{i}")
        window = tuple(min(side, 2) for side in x.shape[1:3])
        if window != (1, 1):
            x = keras.layers.MaxPooling2D(window, name=f"stage{stage}_pool")(x)
    return x


def classifier_features(maps: keras.KerasTensor, kind: str, settings: VGG, seed: int) -> keras.KerasTensor:
    """What the linear head is given.

    `mean`: the maps averaged over their pixels, of which images of 32 pixels leave one. `hidden`: two hidden layers on
    all pixels and channels, without the published dropout; their kernels are normal with standard deviation 0.01, as in
    torchvision.

    Args:
        maps: `[batch, height, width, channels]`.
        kind: "mean" or "hidden".
        settings: The network's settings.
        seed: Seed of the initial weights.

    Returns:
        `[batch, features]`.
    """
    if kind == "mean":
        return mean_over_pixels(maps)
    choices = LayerChoices.of(settings, seed)
    x = keras.layers.Flatten(name="flatten")(maps)
    units = HIDDEN * (settings.width or WIDTH)
    for name in ("hidden", "hidden_2"):
        kernel = keras.initializers.RandomNormal(stddev=_STDDEV, seed=layer_seed(seed, name))
        x = keras.layers.Dense(units, kernel_initializer=kernel, name=name)(x)
        x = activate(x, choices, f"{name}_{choices.activation}")
    return x
