"""What transforms are told of the variables: which are kernels, along which axes their outputs lie, and the head."""

from collections.abc import Sequence
from typing import NamedTuple

import keras

from tf_fullbatch.analysis.filters import einsum_filter_axes
from tf_fullbatch.core import keras_internals
from tf_fullbatch.optim.rules.gradient_descent import undecayed_variables

_NORMS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)


class Variables(NamedTuple):
    """The trainable variables of a network, as transforms tell them apart; decided once.

    Attributes:
        kinds: Of each "weight" (a kernel or embedding), "bias" or "norm" (of a normalisation layer).
        outputs: Of each the axes of its outputs: the last one of dense and HWIO kernels, the last two of depthwise
            ones. `()` of what is no weight.
        layers: Of each the path of its layer.
    """

    kinds: Sequence[str]
    outputs: Sequence[tuple[int, ...]]
    layers: Sequence[str]

    def on(self, mask: str) -> list[bool]:
        """Whether each is within one of `base.MASKS`."""
        kinds = {"all": ("weight", "bias", "norm"), "no_norm": ("weight", "bias"), "weights": ("weight",)}
        return [kind in kinds[mask] for kind in self.kinds]

    def head(self) -> list[bool]:
        """Whether each is of the layer of the last weight; as in `rules.muon.Muon`, that is taken for the head."""
        weights = [layer for layer, kind in zip(self.layers, self.kinds, strict=True) if kind == "weight"]
        return [bool(weights) and layer == weights[-1] for layer in self.layers]


def variables_of(network: keras.Model) -> Variables:
    """The variables of a built network.

    Of a normalisation layer are those of Keras' own, and others that are called gamma or beta; biases are what
    `undecayed_variables` takes out of decay beside these.
    """
    layers = keras_internals.layers_of(network)
    of_norms = {id(v) for layer in layers if isinstance(layer, _NORMS) for v in layer.trainable_variables}
    no_weights = {id(v) for v in undecayed_variables(network)}
    special = {id(kernel): axes for layer in layers for kernel, axes in _special_kernels(layer)}
    kinds, outputs = [], []
    for v in network.trainable_variables:
        norm = id(v) in of_norms or v.name in ("gamma", "beta")
        kinds.append("norm" if norm else "bias" if id(v) in no_weights else "weight")
        last = (len(v.shape) - 1,)
        outputs.append(special.get(id(v), last) if kinds[-1] == "weight" else ())
    paths = [v.path.rpartition("/")[0] for v in network.trainable_variables]
    return Variables(kinds, outputs, paths)


def _special_kernels(layer: keras.layers.Layer) -> list[tuple[keras.Variable, tuple[int, ...]]]:
    """(kernel, axes of its outputs) of a built layer where that is not the last one."""
    if isinstance(layer, _TRANSPOSED):
        return [(layer.kernel, (len(layer.kernel.shape) - 2,))]
    if isinstance(layer, (*_DEPTHWISE, *_SEPARABLE)):
        kernel = layer.depthwise_kernel if isinstance(layer, _SEPARABLE) else layer.kernel
        axes = len(kernel.shape)
        return [(kernel, (axes - 2, axes - 1))]
    if isinstance(layer, keras.layers.EinsumDense):
        return [(layer.kernel, einsum_filter_axes(layer.equation))]
    return []
