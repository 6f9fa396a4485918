"""Networks by name: raw pixels in, logits out."""

from collections.abc import Callable, Sequence
from functools import partial

import keras
import numpy as np

from tf_fullbatch.config.groups import ACTIVATIONS, NORMS, SHORTCUTS, STEMS
from tf_fullbatch.models.layers import LayerChoices, float_dtype, layer_seed
from tf_fullbatch.models.resnet import RESNETS, ResNetSpec, resnet_features
from tf_fullbatch.models.small import linear_features, mlp_features

FeatureBuilder = Callable[[keras.KerasTensor, LayerChoices], keras.KerasTensor]

_PIXEL_RANGE = 255.0


def _pooled_resnet(spec: ResNetSpec, x: keras.KerasTensor, choices: LayerChoices) -> keras.KerasTensor:
    x = resnet_features(x, spec, choices)
    # In the head's dtype, so that a mean over many pixels is not rounded to bfloat16 before the head.
    return keras.layers.GlobalAveragePooling2D(dtype=float_dtype(), name="pool")(x)


MODELS: dict[str, FeatureBuilder] = {
    **{name: partial(_pooled_resnet, spec) for name, spec in RESNETS.items()},
    "mlp": mlp_features,
    "linear": linear_features,
}
"""Name -> builder: a function from normalised pixels `[batch, height, width, channels]` and the layer choices
to features `[batch, features]`; `build_network` adds the input, its normalisation and the linear head."""


def build_network(
    name: str,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    pixel_mean: Sequence[float],
    pixel_std: Sequence[float],
    width: int | None = None,
    stem: str = "auto",
    shortcut: str = "auto",
    norm: str = "batch",
    activation: str = "relu",
    seed: int = 0,
) -> keras.Model:
    """A network from raw pixels to logits, under the global Keras dtype policy.

    The network is functional and of stock layers and operations: a saved one loads without this package. It
    takes pixels from 0 to 255, `[batch, height, width, channels]`, of any integer or float dtype, normalises
    them to `(pixel / 255 - pixel_mean) / pixel_std` in float32, and returns logits `[batch, num_classes]` in
    float32 (both float64 under a float64 policy). The same arguments give the same weights in every process.

    Args:
        name: A key of `MODELS`.
        input_shape: Height and width in pixels, and channels.
        num_classes: Classes, at least 2.
        pixel_mean: Mean of each channel, in units of `pixel / 255`.
        pixel_std: Standard deviation of each channel, in units of `pixel / 255`, positive.
        width: Channels of the first stage, or units of the hidden layer; None for the published number. Later
            stages keep their ratio to it.
        stem: One of `STEMS` ("auto": by image size), see `layers.apply_stem`.
        shortcut: One of `SHORTCUTS` ("auto": the network's own), see `layers.shortcut`.
        norm: One of `NORMS`; "none" gives every convolution a bias. `mlp` and `linear` have no normalisation.
        activation: One of `ACTIVATIONS`; gelu is the exact one, `x Phi(x)`. `linear` has none.
        seed: Seed of the initial weights, at least 0.

    Returns:
        The network, named `name`.

    Raises:
        ValueError: If an argument is not one of those accepted, or the image is too small for the network.
    """
    _check_member("name", name, tuple(MODELS))
    _check_member("stem", stem, STEMS)
    _check_member("shortcut", shortcut, SHORTCUTS)
    _check_member("norm", norm, NORMS)
    _check_member("activation", activation, ACTIVATIONS)
    _check_numbers(input_shape, num_classes, width, seed)
    choices = LayerChoices(
        width=width, stem=stem, shortcut=shortcut, norm=norm, activation=activation, seed=seed
    )
    # A float input: Keras would cast float pixels to an integer input's dtype, cutting off their fractions.
    pixels = keras.Input(tuple(input_shape), dtype=float_dtype(), name="pixels")
    features = MODELS[name](_normalised(pixels, pixel_mean, pixel_std), choices)
    return keras.Model(pixels, _head(features, num_classes, seed), name=name)


def _normalised(pixels: keras.KerasTensor, mean: Sequence[float], std: Sequence[float]) -> keras.KerasTensor:
    """`(pixels / 255 - mean) / std`, as one multiplication and one addition."""
    channels = pixels.shape[-1]
    mean_array, std_array = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    for field, values in (("pixel_mean", mean_array), ("pixel_std", std_array)):
        if values.shape != (channels,) or not np.all(np.isfinite(values)):
            raise ValueError(
                f"{field} must be {channels} finite numbers, one for each channel: got {values.tolist()}."
            )
    if not np.all(std_array > 0):
        raise ValueError(
            f"pixel_std must be positive: got {std_array.tolist()}. Use 1 for a constant channel."
        )
    dtype = float_dtype()
    # Arrays, not lists: Keras would round a list to float32 first, also where the layer computes in float64.
    scale, offset = (1.0 / (_PIXEL_RANGE * std_array)).astype(dtype), (-mean_array / std_array).astype(dtype)
    return keras.layers.Rescaling(scale, offset, dtype=dtype, name="normalise_pixels")(pixels)


def _head(features: keras.KerasTensor, num_classes: int, seed: int) -> keras.KerasTensor:
    """Logits `W x + b`, both uniform in +-1/sqrt(fan_in), PyTorch's default for a linear layer."""
    bound = float(features.shape[-1]) ** -0.5
    kernel, bias = (
        keras.initializers.RandomUniform(-bound, bound, seed=layer_seed(seed, f"logits/{variable}"))
        for variable in ("kernel", "bias")
    )
    return keras.layers.Dense(
        num_classes, kernel_initializer=kernel, bias_initializer=bias, dtype=float_dtype(), name="logits"
    )(features)


def _check_member(field: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise ValueError(f"Unknown {field} {value!r}. Use one of: {', '.join(accepted)}.")


def _check_numbers(input_shape: tuple[int, int, int], num_classes: int, width: int | None, seed: int) -> None:
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ValueError(f"input_shape must be (height, width, channels), all positive: got {input_shape}.")
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2: got {num_classes}.")
    if width is not None and width < 1:
        raise ValueError(f"width must be at least 1, or None for the published one: got {width}.")
    if seed < 0:
        raise ValueError(f"seed must be at least 0: got {seed}.")
