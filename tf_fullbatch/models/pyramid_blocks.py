"""The features that a PyramidNet computes."""

import keras

from tf_fullbatch.models.layers import LayerChoices, activate, convolution, mean_over_pixels, normalise
from tf_fullbatch.models.pyramidnet import PyramidNet, PyramidNetSpec
from tf_fullbatch.models.residual_blocks import BOTTLENECK_EXPANSION
from tf_fullbatch.models.stems import apply_stem, checked_stem

_STAGES = 3
_FIRST_WIDTH = 16


def pyramid_features(
    x: keras.KerasTensor, spec: PyramidNetSpec, settings: PyramidNet, seed: int
) -> keras.KerasTensor:
    """The feature maps of the last stage, normalised, activated and averaged over their pixels.

    Of N blocks the k-th has `D_k = round(D_0 + alpha k / N)` channels (Han et al. 2017, eq. 2; halves to even).

    Args:
        x: Normalised pixels, `[batch, height, width, channels]`.
        spec: The network's shape.
        settings: The network's settings; a width of None is resolved here.
        seed: Seed of the initial weights.

    Returns:
        `[batch, features]`.

    Raises:
        ValueError: If a side of the image is shorter than the network's total stride.
    """
    stem, choices = checked_stem(settings.stem, x, _STAGES - 1), LayerChoices.of(settings, seed)
    first = settings.width or _FIRST_WIDTH
    x = apply_stem(x, first, stem, choices, active=False)
    for number in range(_STAGES * spec.blocks):
        stage, block = divmod(number, spec.blocks)
        width = round(first + spec.alpha * (number + 1) / (_STAGES * spec.blocks))
        branch = _branch(
            x,
            width,
            2 if stage > 0 and block == 0 else 1,
            spec.bottleneck,
            choices,
            f"stage{stage + 1}_block{block}",
            settings.zero_init_residual,
        )
        x = _added(x, branch, f"stage{stage + 1}_block{block}")
    x = normalise(x, choices, "final_norm")
    return mean_over_pixels(activate(x, choices, f"final_{choices.activation}"))


def _branch(
    x: keras.KerasTensor,
    width: int,
    stride: int,
    bottleneck: bool,
    choices: LayerChoices,
    prefix: str,
    zero_init: bool,
) -> keras.KerasTensor:
    """Norm, convolutions with norm and activation between them, norm (Han et al. 2017, figure 6d).

    The 3x3 convolution strides: the first one of two, the one of a bottleneck.
    """
    kernels = (1, 3, 1) if bottleneck else (3, 3)
    y = normalise(x, choices, f"{prefix}_norm1")
    for number, kernel_size in enumerate(kernels, 1):
        if number > 1:
            y = normalise(y, choices, f"{prefix}_norm{number}")
            y = activate(y, choices, f"{prefix}_{choices.activation}{number}")
        filters = width * BOTTLENECK_EXPANSION if bottleneck and number == 3 else width
        step = stride if number == (2 if bottleneck else 1) else 1
        y = convolution(y, filters, kernel_size, step, choices, f"{prefix}_conv{number}")
    return normalise(y, choices, f"{prefix}_norm{len(kernels) + 1}", zero=zero_init)


def _added(x: keras.KerasTensor, branch: keras.KerasTensor, prefix: str) -> keras.KerasTensor:
    """`branch` plus `x`, averaged over 2x2 pixels where the branch strides, with zeros for the channels it lacks."""
    if branch.shape[1:3] != x.shape[1:3]:
        # TensorFlow's "same" average leaves padding out of the count: an edge is the mean of what exists.
        x = keras.layers.AveragePooling2D(2, padding="same", name=f"{prefix}_shortcut_pool")(x)
    lacking = branch.shape[-1] - x.shape[-1]
    if lacking:
        x = keras.ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, lacking)))
    return keras.layers.Add(name=f"{prefix}_add")([branch, x])
