"""The small network of the tests that train, and its sizes."""

import keras

FEATURES, UNITS, CLASSES = 6, 5, 3


def softplus_network(*hidden: keras.layers.Layer, outputs: int = CLASSES) -> keras.Model:
    """A user's own network of two dense layers, smooth in its weights, the same at each call.

    Args:
        *hidden: More layers, put between the first one's softplus and the head; they get `[batch, UNITS]`.
        outputs: Units of the head.
    """
    keras.utils.set_random_seed(0)
    layers = [keras.Input((FEATURES,)), keras.layers.Dense(UNITS, activation="softplus"), *hidden]
    return keras.Sequential([*layers, keras.layers.Dense(outputs)])
