"""Dense and convolutional layers, and what Keras lets be attached to weights."""

from typing import Any

import keras
import numpy as np
from keras import layers as L

from tests.layers.case import SAMPLES, Case, integers, normal
from tests.layers.cases.networks import head, row


def _embedded(name: str, make: Any, **expected: Any) -> Case:
    def build() -> keras.Model:
        inputs = keras.Input((4,), dtype="int32")
        return keras.Model(inputs, head(L.Dense(3, activation="tanh")(make()(inputs))))

    return Case(name=name, build=build, data=integers(5, 4), **expected)


def _masked_pooling() -> keras.Model:
    inputs = keras.Input((4,), dtype="int32")
    x = L.Embedding(5, 3, mask_zero=True)(inputs)
    return keras.Model(inputs, head(L.GlobalAveragePooling1D()(x)))


def _mask_for_the_loss() -> keras.Model:
    inputs = keras.Input((4,), dtype="int32")
    x = L.Dense(3, activation="tanh")(L.Embedding(5, 3, mask_zero=True)(inputs))
    return keras.Model(inputs, L.Dense(2)(x))


def _one_zero_a_sample(generator: np.random.Generator) -> np.ndarray:
    """Integers 1 to 4, and one 0 in each sample: micro-batches then have the same share of masked entries."""
    x = generator.integers(1, 5, size=(SAMPLES, 4)).astype("int32")
    x[np.arange(SAMPLES), generator.integers(0, 4, SAMPLES)] = 0
    return x


def _tied() -> keras.Model:
    inputs = keras.Input((4,), dtype="int32")
    embedding = L.ReversibleEmbedding(5, 3)
    x = L.Dense(3, activation="tanh")(embedding(inputs))
    return keras.Model(inputs, head(embedding(x, reverse=True)))


def _shared() -> keras.Model:
    inputs = keras.Input((3,))
    dense = L.Dense(3, activation="tanh")
    return keras.Model(inputs, head(dense(dense(inputs))))


def _rematerialised(mode: str | None) -> keras.Model:
    inputs = keras.Input((3,))
    with keras.RematScope(mode=mode):
        x = L.Dense(3, activation="tanh")(inputs)
        x = L.Dense(3, activation="tanh")(x)
    return keras.Model(inputs, head(x))


def _smooth(units: int = 3, **arguments: Any) -> L.Dense:
    return L.Dense(units, activation="tanh", **arguments)


CASES = [
    row("Dense", _smooth, 3),
    Case(name="Dense (shared)", build=_shared, data=normal(3)),
    row("Dense (kernel regularizer)", lambda: _smooth(kernel_regularizer=keras.regularizers.L2(0.1)), 3),
    row("Dense (activity regularizer)", lambda: _smooth(activity_regularizer=keras.regularizers.L2(0.1)), 3),
    row("Dense (constraint)", lambda: _smooth(kernel_constraint=keras.constraints.UnitNorm()), 3),
    row("Dense (no bias)", lambda: _smooth(use_bias=False), 3),
    row("Dense (frozen)", lambda: _smooth(trainable=False), 3),
    row(
        "Dense (in float32)",
        lambda: _smooth(dtype="float32"),
        3,
        by_hand=_smooth,
        tolerances={"float64": 1e-6},
    ),
    row("EinsumDense", lambda: L.EinsumDense("abc,cd->abd", (4, 3), bias_axes="d", activation="tanh"), 4, 2),
    _embedded("Embedding", lambda: L.Embedding(5, 3)),
    Case(name="Embedding (mask_zero)", build=_masked_pooling, data=integers(5, 4)),
    Case(name="Embedding (its mask in the loss)", build=_mask_for_the_loss, data=_one_zero_a_sample),
    Case(name="ReversibleEmbedding", build=_tied, data=integers(5, 4)),
    Case(
        name="Dense (rematerialised)",
        build=lambda: _rematerialised("full"),
        by_hand=lambda: _rematerialised(None),
        data=normal(3),
    ),
    row("Conv1D", lambda: L.Conv1D(3, 2, activation="tanh"), 5, 2),
    row(
        "Conv1D (causal, dilated)",
        lambda: L.Conv1D(3, 2, padding="causal", dilation_rate=2, activation="tanh"),
        5,
        2,
    ),
    row("Conv2D", lambda: L.Conv2D(3, 2, activation="tanh"), 4, 4, 2),
    row(
        "Conv2D (strided, same)",
        lambda: L.Conv2D(3, 3, strides=2, padding="same", activation="tanh"),
        5,
        5,
        2,
    ),
    row("Conv2D (grouped)", lambda: L.Conv2D(4, 2, groups=2, activation="tanh"), 4, 4, 2),
    row("Conv3D", lambda: L.Conv3D(2, 2, activation="tanh"), 3, 3, 3, 2),
    row("Conv1DTranspose", lambda: L.Conv1DTranspose(2, 3, strides=2, activation="tanh"), 3, 2),
    row("Conv2DTranspose", lambda: L.Conv2DTranspose(2, 3, strides=2, activation="tanh"), 3, 3, 2),
    row("Conv3DTranspose", lambda: L.Conv3DTranspose(2, 2, activation="tanh"), 2, 2, 2, 2),
    row("DepthwiseConv1D", lambda: L.DepthwiseConv1D(2, depth_multiplier=2, activation="tanh"), 4, 2),
    row("DepthwiseConv2D", lambda: L.DepthwiseConv2D(2, depth_multiplier=2, activation="tanh"), 4, 4, 2),
    row("SeparableConv1D", lambda: L.SeparableConv1D(3, 2, activation="tanh"), 4, 2),
    row("SeparableConv2D", lambda: L.SeparableConv2D(3, 2, activation="tanh"), 4, 4, 2),
]
