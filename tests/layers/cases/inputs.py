"""Layers that prepare inputs: nothing trainable stands before them, no gradient passes through them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers as L

from tests.layers.case import PENALTIES, SAMPLES, Case, Data, integers, precision
from tests.layers.cases.networks import MakeLayer, head, input_row

_NO_FLOAT64 = ("RandomRotation", "AugMix", "RandAugment")  # Keras' code multiplies float32 by float64 there
# A hue is computed in float32; cumulative histograms are rounded to 8 bits in bfloat16, and pixels with them.
_TOLERANCES = {"RandomHue": {"float64": 1e-6}, "Equalization": {"mixed_bfloat16": 0.5}}


class _InFloat32(L.Layer):
    """A layer under Keras' float32, whatever the policy around it; for the reference alone."""

    def __init__(self, make: MakeLayer):
        super().__init__(dtype="float32")
        self._make = make

    def call(self, inputs: Any) -> Any:
        with precision("float32"):
            return self._make()(inputs, training=True)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return self._make()(inputs)


def _images(generator: np.random.Generator) -> np.ndarray:
    """Pixels 0 to 255, exact in bfloat16."""
    return generator.integers(0, 256, size=(SAMPLES, 4, 4, 3)).astype("float32")


def _image_row(name: str, make: MakeLayer, **expected: Any) -> Case:
    def build(make: MakeLayer = make) -> keras.Model:
        inputs = keras.Input((4, 4, 3))
        x = L.Rescaling(1 / 255)(make()(inputs))
        return keras.Model(inputs, head(L.Dense(3, activation="tanh")(x)))

    if name in _NO_FLOAT64:
        expected |= {"by_hand": lambda: build(lambda: _InFloat32(make)), "impossible": ("float64",)}
    return Case(name=name, build=build, data=_images, tolerances=_TOLERANCES.get(name, {}), **expected)


def _random_row(name: str, *arguments: Any, refused: tuple[str, ...] = (), **keywords: Any) -> Case:
    return _image_row(
        name,
        lambda: getattr(L, name)(*arguments, **keywords),
        noisy=True,
        refused=dict.fromkeys(refused, "python random"),
    )


def _integer_row(name: str, make: MakeLayer, data: Data, dtype: str | None = "int32") -> Case:
    def build() -> keras.Model:
        inputs = keras.Input((4,), dtype=dtype)
        x = L.Embedding(6, 3)(make()(inputs))
        return keras.Model(inputs, head(L.Dense(3, activation="tanh")(x)))

    return Case(name=name, build=build, data=data)


def _crossed() -> keras.Model:
    inputs = keras.Input((2,), dtype="int32")
    x = L.Embedding(6, 3)(L.HashedCrossing(6)([inputs[:, 0], inputs[:, 1]]))
    return keras.Model(inputs, head(L.Dense(3, activation="tanh")(x)))


def _numbers(generator: np.random.Generator) -> np.ndarray:
    return generator.normal(size=(SAMPLES, 4)).astype("float32")


def _mel_spectrogram() -> Callable[..., Any]:
    """A spectrogram in decibels, brought to the size of 1."""
    layer = L.MelSpectrogram(fft_length=8, sequence_stride=4, num_mel_bins=3, sampling_rate=200, min_freq=1.0)
    return lambda x, **call: L.Rescaling(1 / 40)(layer(x, **call))


def _stft() -> L.Layer:
    return L.STFTSpectrogram(frame_length=8, frame_step=4)


def _clahe() -> L.Layer:
    return L.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))


CASES = [
    input_row("Normalization", lambda: L.Normalization(mean=0.5, variance=2.0), 4),
    _integer_row("Discretization", lambda: L.Discretization([-0.5, 0.0, 0.5]), _numbers, dtype=None),
    input_row(
        "CategoryEncoding", lambda: L.CategoryEncoding(5, "multi_hot"), 4, data=integers(5, 4), dtype="int32"
    ),
    _integer_row("Hashing", lambda: L.Hashing(6), integers(50, 4)),
    _integer_row("IntegerLookup", lambda: L.IntegerLookup(vocabulary=[1, 2, 3, 4]), integers(6, 4)),
    Case(name="HashedCrossing", build=_crossed, data=integers(5, 2)),
    input_row("STFTSpectrogram", _stft, 16, 1, impossible=("mixed_bfloat16",)),
    input_row(
        "MelSpectrogram",
        _mel_spectrogram,
        16,
        by_hand=lambda: _InFloat32(_mel_spectrogram),
        impossible=("float64",),
    ),
    _image_row("Resizing (of inputs)", lambda: L.Resizing(3, 3)),
    _image_row("AutoContrast", lambda: L.AutoContrast()),
    _image_row("Equalization", lambda: L.Equalization()),
    _image_row("Solarization", lambda: L.Solarization()),
    _image_row("ContrastLimitedAdaptiveHistogramEqualization", _clahe),
    _image_row("Pipeline", lambda: L.Pipeline([L.Rescaling(0.5), L.RandomFlip()]), noisy=True),
    _random_row("RandomBrightness", 0.2),
    _random_row("RandomColorDegeneration", 0.5),
    _random_row("RandomColorJitter", brightness_factor=0.2, contrast_factor=0.2),
    _random_row("RandomContrast", 0.2),
    _random_row("RandomCrop", 3, 3),
    _random_row("RandomElasticTransform", 1.0),
    _random_row("RandomErasing", 1.0),
    _random_row("RandomFlip"),
    _random_row("RandomGaussianBlur", 1.0, kernel_size=3, sigma=1.0),
    _random_row("RandomGrayscale", 0.5),
    _random_row("RandomHue", 0.5),
    _random_row("RandomInvert", 0.5),
    _random_row("RandomPerspective", 1.0),
    _random_row("RandomPosterization", 4),
    _random_row("RandomRotation", 0.2),
    _random_row("RandomSaturation", 0.5),
    _random_row("RandomSharpness", 0.5),
    _random_row("RandomShear", 0.3, 0.3),
    _random_row("RandomTranslation", 0.3, 0.3),
    _random_row("RandomZoom", 0.3),
    _random_row("AugMix", refused=PENALTIES),
    _random_row("RandAugment"),
]
