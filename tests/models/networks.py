"""Networks by name, built for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from tf_fullbatch.models.build import build_network

CLASSES = 3


@contextmanager
def float64() -> Iterator[None]:
    """Within it, networks are built under the policy float64."""
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def built(
    name: str, shape: tuple[int, ...] = (8, 8, 3), classes: int = CLASSES, **settings: Any
) -> keras.Model:
    """A network whose normalisation is `pixel / 255`."""
    channels = shape[-1]
    return build_network(
        name,
        input_shape=shape,
        num_classes=classes,
        pixel_mean=(0.0,) * channels,
        pixel_std=(1.0,) * channels,
        **settings,
    )


def moved_off(network: keras.Model) -> keras.Model:
    """The network with every weight moved off its special values (zeros, ones, 1e-6)."""
    generator = np.random.default_rng(1)
    for variable in network.trainable_variables:
        variable.assign(np.asarray(variable) + generator.normal(scale=0.3, size=variable.shape))
    return network


def pixels(samples: int = 4, shape: tuple[int, ...] = (8, 8, 3)) -> np.ndarray:
    """Random images of 0 to 255."""
    return np.random.default_rng(0).integers(0, 256, (samples, *shape)).astype("float64")


def weights_of(network: keras.Model, layer: str) -> list[np.ndarray]:
    """A layer's weights as arrays."""
    return [np.asarray(variable) for variable in network.get_layer(layer).weights]
