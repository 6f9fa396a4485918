"""The layers of a transformer beside its attention, which ConvNeXts have taken over.

Kernels are normal with standard deviation 0.02 and biases zero, as in Touvron et al. 2021 and Liu et al. 2022, whose
truncation, at 100 standard deviations, cuts nothing off.
"""

import keras

from tf_fullbatch.models.layers import layer_seed

MLP_EXPANSION = 4
EPSILON = 1e-6

_STDDEV = 0.02


def normal(seed: int, name: str) -> keras.initializers.Initializer:
    """The initialiser of one layer's kernel, or of an array of weights."""
    return keras.initializers.RandomNormal(stddev=_STDDEV, seed=layer_seed(seed, name))


def dense(x: keras.KerasTensor, units: int, seed: int, name: str) -> keras.KerasTensor:
    """`W x + b` of the last axis, `[..., units]`."""
    return keras.layers.Dense(units, kernel_initializer=normal(seed, name), name=name)(x)


def layer_norm(x: keras.KerasTensor, name: str, dtype: str | None = None) -> keras.KerasTensor:
    """LayerNorm over the last axis (Ba et al. 2016) with epsilon 1e-6, by the global policy or in `dtype`."""
    return keras.layers.LayerNormalization(epsilon=EPSILON, dtype=dtype, name=name)(x)


def gelu_mlp(x: keras.KerasTensor, seed: int, prefix: str) -> keras.KerasTensor:
    """`W gelu(V x + a) + b` of the last axis with four times its size within; gelu is the exact one, `x Phi(x)`."""
    size = x.shape[-1]
    hidden = dense(x, MLP_EXPANSION * size, seed, f"{prefix}_hidden")
    hidden = keras.layers.Activation("gelu", name=f"{prefix}_gelu")(hidden)
    return dense(hidden, size, seed, f"{prefix}_projection")
