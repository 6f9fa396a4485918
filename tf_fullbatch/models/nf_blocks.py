"""The features that a residual network without normalisation computes."""

import keras

from tf_fullbatch.models.layers import LayerChoices, activate, convolution, mean_over_pixels
from tf_fullbatch.models.nf_resnet import NfResNet
from tf_fullbatch.models.residual_blocks import BOTTLENECK_EXPANSION
from tf_fullbatch.models.resnet import ResNetSpec
from tf_fullbatch.models.shortcuts import shortcut
from tf_fullbatch.models.stems import apply_stem, checked_stem


def nf_features(x: keras.KerasTensor, spec: ResNetSpec, settings: NfResNet, seed: int) -> keras.KerasTensor:
    """The feature maps of the last stage, activated and averaged over their pixels.

    Block l maps `h_l` to `h_l + alpha f_l(h_l / beta_l)`, where beta_l^2 is the variance of `h_l` that the block before
    has left at first: `beta_{l+1}^2 = beta_l^2 + alpha^2`. Where shapes change, the path around the branch is a strided
    1x1 convolution of its activated input, which has variance 1: `beta_{l+1}^2 = 1 + alpha^2` (Brock et al. 2021a,
    sections 3 and 4).

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
    stem = checked_stem(settings.stem, x, len(spec.blocks) - 1)
    choices = LayerChoices(norm="none", activation=settings.activation, seed=seed, scaled=True)
    width = settings.width or spec.width
    x, variance = apply_stem(x, width, stem, choices, active=False), 1.0
    for stage, blocks in enumerate(spec.blocks):
        for block in range(blocks):
            stride, prefix = 2 if stage > 0 and block == 0 else 1, f"stage{stage + 1}_block{block}"
            filters = width * 2**stage * (BOTTLENECK_EXPANSION if spec.bottleneck else 1)
            changes = stride > 1 or x.shape[-1] != filters
            before = activate(x * variance**-0.5, choices, f"{prefix}_{choices.activation}1")
            around = shortcut(before, filters, stride, "conv", choices, prefix) if changes else x
            y = _branch(before, filters, stride, spec, choices, prefix, settings.zero_init_residual)
            x = keras.layers.Add(name=f"{prefix}_add")([y * settings.branch_scale, around])
            variance = (1.0 if changes else variance) + settings.branch_scale**2
    x = activate(x * variance**-0.5, choices, f"final_{choices.activation}")
    return mean_over_pixels(x)


def _branch(
    x: keras.KerasTensor,
    filters: int,
    stride: int,
    spec: ResNetSpec,
    choices: LayerChoices,
    prefix: str,
    zero_init: bool,
) -> keras.KerasTensor:
    """Convolutions with activations between them; a 3x3 one strides, the first of two, the one of a bottleneck."""
    kernels = (1, 3, 1) if spec.bottleneck else (3, 3)
    width = filters // BOTTLENECK_EXPANSION if spec.bottleneck else filters
    for number, kernel_size in enumerate(kernels, 1):
        last = number == len(kernels)
        if number > 1:
            x = activate(x, choices, f"{prefix}_{choices.activation}{number}")
        step = stride if number == len(kernels) - 1 else 1
        name = f"{prefix}_conv{number}"
        x = convolution(
            x, filters if last else width, kernel_size, step, choices, name, zero=zero_init and last
        )
    return x
