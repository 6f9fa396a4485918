"""The features that a vision transformer computes.

Attention is written in products and a softmax, not by a fused kernel, so that it has exact second derivatives.
"""

import keras

from tf_fullbatch.models.layers import float_dtype, layer_seed
from tf_fullbatch.models.learned_array import learned_array, one_per_sample
from tf_fullbatch.models.transformer_layers import dense, gelu_mlp, layer_norm, normal
from tf_fullbatch.models.vit import ViTSpec


def vit_features(x: keras.KerasTensor, spec: ViTSpec, width: int, patch: int, seed: int) -> keras.KerasTensor:
    """The class token after the last block and the last normalisation.

    `z_0 = [class; patches E] + positions`; `z'_l = z_(l-1) + attention(norm(z_(l-1)))`, `z_l = z'_l + mlp(norm(z'_l))`;
    features `norm(z_L)[0]` (Dosovitskiy et al. 2021, equations 1 to 4). No dropout and no stochastic depth.

    Positions and class token are initialised as kernels are (`transformer_layers`). The patches' kernel and bias are
    uniform in `+-1 / sqrt(fan_in)`, PyTorch's default for a convolution, as in the code of Touvron et al. 2021.

    Args:
        x: Normalised pixels, `[batch, height, width, channels]`, sides multiples of `patch`.
        spec: The network's shape.
        width: Numbers of a token, a multiple of the heads.
        patch: Side of a patch in pixels.
        seed: Seed of the initial weights.

    Returns:
        `[batch, width]`, in the head's dtype.
    """
    z = _tokens(x, width, patch, seed)
    for block in range(spec.blocks):
        prefix = f"block{block}"
        attended = _attention(layer_norm(z, f"{prefix}_norm1"), spec.heads, seed, f"{prefix}_attention")
        z = keras.layers.Add(name=f"{prefix}_add1")([z, attended])
        computed = gelu_mlp(layer_norm(z, f"{prefix}_norm2"), seed, f"{prefix}_mlp")
        z = keras.layers.Add(name=f"{prefix}_add2")([z, computed])
    token = keras.layers.Cropping1D((0, z.shape[1] - 1), name="norm_token")(z)
    return layer_norm(keras.layers.Flatten(name="norm_flat")(token), "norm", float_dtype())


def _tokens(x: keras.KerasTensor, width: int, patch: int, seed: int) -> keras.KerasTensor:
    """Patches as tokens behind a class token, with their positions: `[batch, 1 + patches, width]`."""
    bound = (patch * patch * x.shape[-1]) ** -0.5
    kernel, bias = (
        keras.initializers.RandomUniform(-bound, bound, seed=layer_seed(seed, f"embed_patches/{variable}"))
        for variable in ("kernel", "bias")
    )
    patches = keras.layers.Conv2D(
        width, patch, strides=patch, kernel_initializer=kernel, bias_initializer=bias, name="embed_patches"
    )(x)
    tokens = keras.layers.Reshape((-1, width), name="embed_tokens")(patches)
    ones = one_per_sample(x, "embed_samples")
    token = learned_array(ones, (width,), normal(seed, "embed_class_token"), "embed_class_token")
    first = keras.layers.Reshape((1, width), name="embed_first")(token)
    tokens = keras.layers.Concatenate(axis=1, name="embed_join")([first, tokens])
    positions = learned_array(
        ones, tuple(tokens.shape[1:]), normal(seed, "embed_positions"), "embed_positions"
    )
    return keras.layers.Add(name="embed_add")([tokens, positions])


def _attention(z: keras.KerasTensor, heads: int, seed: int, name: str) -> keras.KerasTensor:
    """Self-attention of all tokens, `softmax(q k^T / sqrt(d)) v` in each head of `d` numbers, and a projection.

    Queries, keys and values come of one dense layer; the softmax is taken in the head's dtype.
    """
    tokens, width = z.shape[1:]
    size = width // heads
    projected = dense(z, 3 * width, seed, f"{name}_qkv")
    projected = keras.layers.Reshape((tokens, 3, heads, size), name=f"{name}_heads")(projected)
    query, key, value = (projected[:, :, i] for i in range(3))
    scores = keras.ops.einsum("bqhd,bkhd->bhqk", query * size**-0.5, key)
    weights = keras.layers.Softmax(dtype=float_dtype(), name=f"{name}_softmax")(scores)
    attended = keras.ops.einsum("bhqk,bkhd->bqhd", keras.ops.cast(weights, value.dtype), value)
    joined = keras.layers.Reshape((tokens, width), name=f"{name}_joined")(attended)
    return dense(joined, width, seed, f"{name}_projection")
