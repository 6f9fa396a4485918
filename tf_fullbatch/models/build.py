"""Networks by name: raw pixels in, logits out."""

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_fullbatch.core.keras_internals import deep_networks
from tf_fullbatch.models.backbones import backbone_features, is_backbone
from tf_fullbatch.models.layers import float_dtype, layer_seed
from tf_fullbatch.models.own import Expected, OwnModel, application, own_network
from tf_fullbatch.models.settings import ModelConfig
from tf_fullbatch.models.text import TextNetwork
from tf_fullbatch.settings.part_names import is_users_code, shortened

_PIXEL_RANGE = 255.0


def build_network(
    name: str,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    pixel_mean: Sequence[float],
    pixel_std: Sequence[float],
    seed: int = 0,
    **settings: Any,
) -> keras.Model:
    """A network from raw pixels to logits: `network_of` for a name and its settings.

    Args:
        name: A key of `models.registry.MODELS`.
        input_shape: Height and width in pixels, and channels.
        num_classes: Classes, or numbers of another target, at least 1.
        pixel_mean: Mean of each channel, in units of `pixel / 255`.
        pixel_std: Standard deviation of each channel, in units of `pixel / 255`, positive.
        seed: Seed of the initial weights, at least 0.
        **settings: Settings of the network's family, such as `width`, `stem`, `shortcut`, `norm` and `activation` of
            a residual network: the flags of the same names.

    Returns:
        The network, named `name`.

    Raises:
        ValueError: If an argument is not one of those accepted, or the image is too small for the network.
        TypeError: If no network has such a setting.
    """
    config = ModelConfig(model=name, chosen_model=ModelConfig.component("model", name, **settings))
    return network_of(
        config,
        input_shape=input_shape,
        num_classes=num_classes,
        pixel_mean=pixel_mean,
        pixel_std=pixel_std,
        seed=seed,
    )


def network_of(
    config: ModelConfig,
    *,
    input_shape: Any,
    num_classes: Any,
    pixel_mean: Sequence[float],
    pixel_std: Sequence[float],
    seed: int,
    expected: Expected = Expected(),  # noqa: B008, immutable
    vocabulary: int | None = None,
) -> keras.Model:
    """The network that settings describe, from raw pixels to logits, under the global Keras dtype policy.

    The network is functional and of stock layers and operations: a saved one loads without this package. It
    takes pixels from 0 to 255, `[batch, height, width, channels]`, of any integer or float dtype, normalises
    them to `(pixel / 255 - pixel_mean) / pixel_std` in float32, and returns logits `[batch, num_classes]` in
    float32 (both float64 under a float64 policy). The same arguments give the same weights in every process. A
    function of the user's gets the inputs as they are, and the network is what it returns; of a class of backbones
    (`backbones.is_backbone`) the features are taken.

    Args:
        config: The network's name and settings; initial weights are not loaded here.
        input_shape: Height and width in pixels, and channels; for code of the user's own the shape of any input, or a
            structure of shapes.
        num_classes: Outputs: classes or, of other targets, numbers; at least 1. For code of the user's own the same, or
            a structure like that of the targets.
        pixel_mean: Mean of each channel, in units of `pixel / 255`.
        pixel_std: Standard deviation of each channel, in units of `pixel / 255`, positive.
        seed: Seed of the initial weights, at least 0.
        expected: What the loss takes of the outputs of code of the user's own.
        vocabulary: Tokens that there are, of inputs that are tokens.

    Raises:
        ValueError: If an argument is out of range, or the image is too small for the network.
    """
    if isinstance(config.chosen_model, OwnModel):
        keras.utils.set_random_seed(seed)
        if is_users_network(config.model):
            return own_network(config.model, config.chosen_model.options, input_shape, num_classes, expected)
    _check_numbers(input_shape, num_classes, seed)
    if isinstance(config.chosen_model, TextNetwork) and vocabulary is not None:
        tokens = keras.Input(tuple(input_shape), dtype="int32", name="tokens")
        found = config.chosen_model.token_features(config.model, tokens, vocabulary, seed)
        return keras.Model(tokens, _head(found, num_classes, seed), name=config.model)
    # A float input: Keras would cast float pixels to an integer input's dtype, cutting off their fractions.
    pixels = keras.Input(tuple(input_shape), dtype=float_dtype(), name="pixels")
    normalised = _normalised(pixels, pixel_mean, pixel_std)
    if not isinstance(config.chosen_model, OwnModel):
        features = config.chosen_model.features(config.model, normalised, seed)
        logits = _head(features, num_classes, seed)
    elif is_backbone(config.model):
        features = backbone_features(config.model, config.chosen_model.options, normalised)
        logits = _head(features, num_classes, seed)
    else:
        logits = application(config.model, config.chosen_model.options, pixels, normalised, num_classes)
    with deep_networks():
        return keras.Model(pixels, logits, name=re.sub("[^A-Za-z0-9_]+", "_", shortened(config.model)))


def is_users_network(value: str) -> bool:
    """Whether a --model is a function of the user's that makes a whole network, which gets the inputs as they are.

    Raises:
        UserError: It is of a user's module that cannot be imported, or not there.
    """
    return is_users_code(value) and not is_backbone(value)


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
    if len(pixels.shape) < 4:
        return keras.layers.Rescaling(scale, offset, dtype=dtype, name="normalise_pixels")(pixels)
    # Row by row: TensorFlow takes twice as long for arithmetic with vectors as short as a pixel.
    *_, height, width, _ = pixels.shape
    rows = keras.layers.Reshape((height, width * channels), dtype=dtype, name="rows")(pixels)
    scale, offset = np.tile(scale, width), np.tile(offset, width)
    normalised = keras.layers.Rescaling(scale, offset, dtype=dtype, name="normalise_pixels")(rows)
    return keras.layers.Reshape((height, width, channels), dtype=dtype, name="normalised_pixels")(normalised)


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


def _check_numbers(input_shape: tuple[int, int, int], num_classes: int, seed: int) -> None:
    if not input_shape or min(input_shape) < 1:
        raise ValueError(
            f"input_shape must be (height, width, channels) or (features,), all positive: got {input_shape}."
        )
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1: got {num_classes}.")
    if seed < 0:
        raise ValueError(f"seed must be at least 0: got {seed}.")
