"""Layers without weights that pool, resize, cut and reorder."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import layers as L

from tests.layers.case import EXACT
from tests.layers.cases.networks import MakeLayer, row

_NOT_EXACT: dict[str, Any] = {"refused": dict.fromkeys(EXACT, "no second derivative")}
_NOT_BICUBIC: dict[str, Any] = {**_NOT_EXACT, "refused_in": {"mixed_bfloat16": "no bfloat16 gradient"}}
_IN_PLACE: dict[str, Any] = {"refused": dict.fromkeys(EXACT, "max pooling in place")}
_NO64: dict[str, Any] = {"impossible": ("float64",)}


def _pool(reduce: Callable[..., tf.Tensor]) -> MakeLayer:
    """Pooling of 2x2x2 voxels without overlap, in any dtype; TensorFlow's own has none for float64."""

    def pooled(x: tf.Tensor) -> tf.Tensor:
        _, a, b, c, channels = x.shape
        return reduce(tf.reshape(x, [-1, a // 2, 2, b // 2, 2, c // 2, 2, channels]), axis=[2, 4, 6])

    return lambda: L.Lambda(pooled)


def _halves(reduce: Callable[..., tf.Tensor]) -> MakeLayer:
    """Pooling of 3 to 2 voxels along the first axis: the first two and the last two."""
    return lambda: L.Lambda(lambda x: tf.stack([reduce(x[:, :2], axis=1), reduce(x[:, 1:], axis=1)], axis=1))


def _max_pool_in_place(layer: type[L.Layer]) -> MakeLayer:
    """Max pooling whose outputs have the shape of its inputs."""
    return lambda: layer(2, strides=1, padding="same")


def _upsample(interpolation: str) -> MakeLayer:
    return lambda: L.UpSampling2D(2, interpolation=interpolation)


def _resize(interpolation: str) -> MakeLayer:
    return lambda: L.Resizing(4, 5, interpolation=interpolation)


def _adaptive_max() -> L.Layer:
    return L.AdaptiveMaxPooling3D(2)


def _adaptive_average() -> L.Layer:
    return L.AdaptiveAveragePooling3D(2)


CASES = [
    row("MaxPooling1D", lambda: L.MaxPooling1D(2), 5, 2),
    row("MaxPooling2D", lambda: L.MaxPooling2D(2), 4, 4, 2),
    row("MaxPooling2D (overlapping, same)", lambda: L.MaxPooling2D(3, 2, padding="same"), 4, 4, 2),
    row("MaxPooling1D (stride 1, same)", _max_pool_in_place(L.MaxPooling1D), 4, 2, **_IN_PLACE),
    row("MaxPooling2D (stride 1, same)", _max_pool_in_place(L.MaxPooling2D), 3, 3, 2, **_IN_PLACE),
    row(
        "MaxPooling2D (same, of one place)",
        lambda: L.MaxPooling2D(2, padding="same"),
        1,
        1,
        2,
        **_IN_PLACE,
    ),
    row("MaxPooling3D", lambda: L.MaxPooling3D(2), 2, 2, 4, 2, by_hand=_pool(tf.reduce_max), **_NO64),
    row("AveragePooling1D", lambda: L.AveragePooling1D(2), 5, 2),
    row("AveragePooling2D", lambda: L.AveragePooling2D(2), 4, 4, 2),
    row(
        "AveragePooling3D", lambda: L.AveragePooling3D(2), 2, 2, 4, 2, by_hand=_pool(tf.reduce_mean), **_NO64
    ),
    row("GlobalMaxPooling1D", lambda: L.GlobalMaxPooling1D(), 5, 2),
    row("GlobalMaxPooling2D", lambda: L.GlobalMaxPooling2D(), 3, 3, 2),
    row("GlobalMaxPooling3D", lambda: L.GlobalMaxPooling3D(), 2, 2, 2, 2),
    row("GlobalAveragePooling1D", lambda: L.GlobalAveragePooling1D(), 5, 2),
    row("GlobalAveragePooling2D", lambda: L.GlobalAveragePooling2D(), 3, 3, 2),
    row("GlobalAveragePooling3D", lambda: L.GlobalAveragePooling3D(), 2, 2, 2, 2),
    row("AdaptiveMaxPooling1D", lambda: L.AdaptiveMaxPooling1D(2), 5, 2),
    row("AdaptiveMaxPooling2D", lambda: L.AdaptiveMaxPooling2D(2), 3, 3, 2),
    row(
        "AdaptiveMaxPooling3D",
        _adaptive_max,
        3,
        2,
        2,
        2,
        by_hand=_halves(tf.reduce_max),
        **_NO64,
        **_IN_PLACE,
    ),
    row("AdaptiveAveragePooling1D", lambda: L.AdaptiveAveragePooling1D(2), 5, 2),
    row("AdaptiveAveragePooling2D", lambda: L.AdaptiveAveragePooling2D(2), 3, 3, 2),
    row("AdaptiveAveragePooling3D", _adaptive_average, 3, 2, 2, 2, by_hand=_halves(tf.reduce_mean), **_NO64),
    row("UpSampling1D", lambda: L.UpSampling1D(2), 3, 2),
    row("UpSampling2D", lambda: L.UpSampling2D(2), 3, 3, 2),
    row("UpSampling2D (bilinear)", _upsample("bilinear"), 3, 3, 2, **_NOT_EXACT),
    row("UpSampling2D (bicubic)", _upsample("bicubic"), 3, 3, 2, **_NOT_BICUBIC),
    row("UpSampling3D", lambda: L.UpSampling3D(2), 2, 2, 2, 2),
    row("Resizing", lambda: L.Resizing(4, 5), 3, 3, 2, **_NOT_EXACT),
    row("Resizing (nearest)", _resize("nearest"), 3, 3, 2, **_NOT_EXACT),
    row("Resizing (bicubic)", _resize("bicubic"), 3, 3, 2, **_NOT_BICUBIC),
    row("ZeroPadding1D", lambda: L.ZeroPadding1D(1), 3, 2),
    row("ZeroPadding2D", lambda: L.ZeroPadding2D(1), 3, 3, 2),
    row("ZeroPadding3D", lambda: L.ZeroPadding3D(1), 2, 2, 2, 2),
    row("Cropping1D", lambda: L.Cropping1D(1), 4, 2),
    row("Cropping2D", lambda: L.Cropping2D(1), 4, 4, 2),
    row("Cropping3D", lambda: L.Cropping3D(1), 3, 3, 3, 2),
    row("CenterCrop", lambda: L.CenterCrop(2, 2), 4, 4, 2),
    row("Flatten", lambda: L.Flatten(), 3, 2),
    row("Reshape", lambda: L.Reshape((2, 3)), 3, 2),
    row("Permute", lambda: L.Permute((2, 1)), 3, 2),
    row("RepeatVector", lambda: L.RepeatVector(2), 3),
    row("Identity", lambda: L.Identity(), 3),
    row("Lambda", lambda: L.Lambda(lambda x: x * x), 3),
    row("Rescaling", lambda: L.Rescaling(0.5, 0.25), 3),
]
