"""The two smallest networks, without convolutions or normalisation: for tests and first steps."""

import keras

from tf_fullbatch.models.layers import LayerChoices, activate, layer_seed

_MLP_WIDTH = 32


def linear_features(x: keras.KerasTensor, choices: LayerChoices) -> keras.KerasTensor:
    """The pixels themselves, `[batch, height * width * channels]`: with the head, multinomial regression.

    Raises:
        ValueError: If a width is given: there is no hidden layer.
    """
    _refuse_convolutional_choices("linear", choices)
    if choices.width is not None:
        raise ValueError(
            f"'linear' has no hidden layer, so no width: got width={choices.width}. Leave it out."
        )
    return keras.layers.Flatten(name="flatten")(x)


def mlp_features(x: keras.KerasTensor, choices: LayerChoices) -> keras.KerasTensor:
    """One hidden layer, `activation(W x + b)`, `[batch, width]` with 32 units unless a width is given.

    W is normal with variance `2 / fan_in` (He et al. 2015, eq. 10), b is zero.
    """
    _refuse_convolutional_choices("mlp", choices)
    x = keras.layers.Flatten(name="flatten")(x)
    seed = layer_seed(choices.seed, "hidden")
    x = keras.layers.Dense(
        choices.width or _MLP_WIDTH,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal", seed=seed),
        name="hidden",
    )(x)
    return activate(x, choices, f"hidden_{choices.activation}")


def _refuse_convolutional_choices(model: str, choices: LayerChoices) -> None:
    # "batch" passes: it is the default of build_network, and says nothing about these networks.
    for field, value, accepted in (
        ("stem", choices.stem, ("auto",)),
        ("shortcut", choices.shortcut, ("auto",)),
        ("norm", choices.norm, ("batch", "none")),
    ):
        if value not in accepted:
            raise ValueError(f"{model!r} has no {field}: got {field}={value!r}. Leave it out.")
