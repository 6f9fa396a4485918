"""Floating-point operations of a network's gradient."""

import keras

from tf_fullbatch.core.keras_internals import is_functional
from tf_fullbatch.models.costs import layer_costs


def gradient_flops(network: keras.Model) -> float | None:
    """Floating-point operations of one sample's gradient in convolutions, dense layers and other products.

    Two per multiply-add of `costs.layer_costs`, and three times the forward pass (forward, derivative by inputs,
    derivative by weights): 3.33e9 for ResNet-18 at 32x32. None where the network has no products, or layers of which
    nobody says how many.
    """
    if not is_functional(network):
        return None
    counts = [cost.multiply_adds for cost in layer_costs(network)]
    return None if None in counts else 6.0 * sum(filter(None, counts)) or None
