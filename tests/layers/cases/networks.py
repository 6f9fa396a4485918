"""The small networks that the layers are put into."""

from collections.abc import Callable
from typing import Any

import keras

from tests.layers.case import OUTPUTS, Case, Data, normal

MakeLayer = Callable[[], Callable[..., Any]]


def row(name: str, make: MakeLayer, *shape: int, by_hand: MakeLayer | None = None, **expected: Any) -> Case:
    """A layer on `[batch, *shape]` between a tanh layer, smooth in its weights, and a linear head.

    Args:
        name: The row's name.
        make: Makes the layer.
        *shape: A sample's shape; the tanh layer acts on the last axis.
        by_hand: Makes what takes the layer's place in the reference.
        **expected: Other fields of `Case`.
    """
    if by_hand is not None:
        expected["by_hand"] = lambda: _between(by_hand(), shape)
    return Case(name=name, build=lambda: _between(make(), shape), data=normal(*shape), **expected)


def input_row(
    name: str,
    make: MakeLayer,
    *shape: int,
    data: Data | None = None,
    dtype: str | None = None,
    by_hand: MakeLayer | None = None,
    **expected: Any,
) -> Case:
    """A layer that the inputs `[batch, *shape]` meet first, with a tanh layer and a linear head after it."""

    def build(make: MakeLayer = make) -> keras.Model:
        inputs = keras.Input(shape, dtype=dtype)
        return keras.Model(inputs, head(keras.layers.Dense(3, activation="tanh")(make()(inputs))))

    if by_hand is not None:
        expected["by_hand"] = lambda: build(by_hand)
    return Case(name=name, build=build, data=data or normal(*shape), **expected)


def head(x: Any) -> Any:
    """`OUTPUTS` linear outputs a sample."""
    return keras.layers.Dense(OUTPUTS)(keras.layers.Flatten()(x))


def _between(layer: Callable[..., Any], shape: tuple[int, ...]) -> keras.Model:
    inputs = keras.Input(shape)
    x = keras.layers.Dense(shape[-1], activation="tanh")(inputs)
    return keras.Model(inputs, head(layer(x)))
