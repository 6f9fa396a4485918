"""Layers of several inputs: merges and attention."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers as L

from tests.layers.case import Case, integers, normal
from tests.layers.cases.networks import head

Join = Callable[[Any, Any], Any]


def _row(name: str, join: Callable[[], Join], **expected: Any) -> Case:
    """Two tanh branches `[batch, 4, 3]` of the same input, joined."""

    def build() -> keras.Model:
        inputs = keras.Input((4, 2))
        branches = [L.Dense(3, activation="tanh")(inputs) for _ in range(2)]
        return keras.Model(inputs, head(join()(*branches)))

    return Case(name=name, build=build, data=normal(4, 2), **expected)


def _merge(name: str, make: Callable[[], keras.Layer], **expected: Any) -> Case:
    return _row(name, lambda: lambda a, b: make()([a, b]), **expected)


def _masked_attention() -> keras.Model:
    inputs = keras.Input((4,), dtype="int32")
    x = L.Embedding(5, 4, mask_zero=True)(inputs)
    x = L.MultiHeadAttention(2, 2)(x, x)
    return keras.Model(inputs, head(L.GlobalAveragePooling1D()(x)))


CASES = [
    *(
        _merge(c.__name__, c)
        for c in (L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum, L.Concatenate)
    ),
    _merge("Dot", lambda: L.Dot(2)),
    _merge("Dot (cosine)", lambda: L.Dot(1, normalize=True)),
    _merge("Attention", lambda: L.Attention(use_scale=True)),
    _merge("Attention (dropout)", lambda: L.Attention(dropout=0.3), noisy=True),
    _merge("AdditiveAttention", lambda: L.AdditiveAttention()),
    _row("MultiHeadAttention", lambda: L.MultiHeadAttention(2, 3)),
    _row(
        "MultiHeadAttention (causal)",
        lambda: lambda a, b: L.MultiHeadAttention(2, 3)(a, b, use_causal_mask=True),
    ),
    _row("MultiHeadAttention (dropout)", lambda: L.MultiHeadAttention(2, 3, dropout=0.3), noisy=True),
    Case(name="MultiHeadAttention (mask)", build=_masked_attention, data=integers(5, 4)),
    _row("GroupQueryAttention", lambda: L.GroupQueryAttention(3, 4, 2)),
]
