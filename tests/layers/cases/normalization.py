"""Normalisation and what regularises activations."""

from collections.abc import Callable

import keras
from keras import layers as L

from tests.layers.case import DIFFERENCES, Case, normal
from tests.layers.cases.networks import head, row


def _spectral(*, by_hand: bool) -> keras.Model:
    inputs = keras.Input((3,))
    x = L.Dense(3, activation="tanh")(inputs)
    dense = L.Dense(4, activation="tanh")
    layer = dense if by_hand else L.SpectralNormalization(dense)
    network = keras.Model(inputs, head(layer(x)))
    if not by_hand:
        layer.vector_u.assign(keras.ops.ones((1, 4)))  # drawn at random, other numbers in each dtype
    return network


def _called_twice() -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    layer = L.BatchNormalization()
    return lambda x: layer(keras.ops.tanh(layer(x)))


CASES = [
    row("BatchNormalization", lambda: L.BatchNormalization(), 4, 3),
    row(
        "BatchNormalization (no scale, no shift)",
        lambda: L.BatchNormalization(center=False, scale=False),
        4,
        3,
    ),
    row("BatchNormalization (frozen)", lambda: L.BatchNormalization(trainable=False), 4, 3),
    row("BatchNormalization (called twice)", _called_twice, 4, 3),
    row("GroupNormalization", lambda: L.GroupNormalization(2), 3, 4),
    row("LayerNormalization", lambda: L.LayerNormalization(), 3, 4),
    row("RMSNormalization", lambda: L.RMSNormalization(), 3, 4),
    row("UnitNormalization", lambda: L.UnitNormalization(), 3, 4),
    Case(
        name="SpectralNormalization",
        build=lambda: _spectral(by_hand=False),
        by_hand=lambda: _spectral(by_hand=True),
        data=normal(3),
        assigns_weights=True,
        refused=dict.fromkeys(DIFFERENCES, "assigned") | {"forward_over_reverse": "loop"},
    ),
    row("Dropout", lambda: L.Dropout(0.4), 4, 3, noisy=True),
    row("SpatialDropout1D", lambda: L.SpatialDropout1D(0.4), 4, 3, noisy=True),
    row("SpatialDropout2D", lambda: L.SpatialDropout2D(0.4), 3, 3, 3, noisy=True),
    row("SpatialDropout3D", lambda: L.SpatialDropout3D(0.4), 2, 2, 2, 3, noisy=True),
    row("GaussianDropout", lambda: L.GaussianDropout(0.4), 4, 3, noisy=True),
    row("GaussianNoise", lambda: L.GaussianNoise(0.4), 4, 3, noisy=True),
    row("AlphaDropout", lambda: L.AlphaDropout(0.4), 4, 3, noisy=True),
    row("ActivityRegularization", lambda: L.ActivityRegularization(l1=0.1, l2=0.1), 4, 3),
]
