"""Activations, as layers of their own and by name."""

import keras
from keras import layers as L

from tests.layers.case import EXACT, Case
from tests.layers.cases.networks import row

# Without glu, which halves its axis: keras.layers.Activation does not know that.
_NAMES = """
    celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear log_sigmoid log_softmax
    mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid sparsemax
    squareplus tanh tanh_shrink
"""
_NOT_EXACT = {"softsign": dict.fromkeys(EXACT, "no second derivative")}


def _named(name: str) -> Case:
    return row(f"Activation ({name})", lambda: L.Activation(name), 5, refused=_NOT_EXACT.get(name, {}))


def _threshold() -> L.Layer:
    return L.Activation(lambda x: keras.activations.threshold(x, 0.1, 0.05))


CASES = [
    row("ReLU", lambda: L.ReLU(max_value=0.6, negative_slope=0.1, threshold=0.05), 6),
    row("LeakyReLU", lambda: L.LeakyReLU(), 6),
    row("PReLU", lambda: L.PReLU(), 6),
    row("ELU", lambda: L.ELU(), 6),
    row("Softmax", lambda: L.Softmax(), 6),
    *(_named(name) for name in _NAMES.split()),
    row("Activation (threshold)", _threshold, 6),
]
