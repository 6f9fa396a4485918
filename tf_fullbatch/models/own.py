"""--model=keras:NAME, FILE.py:function or package.module:function: networks that are not built in."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import own_parts
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    import keras


_ROUNDING = 1e-2
"""How far from 1 the sum of probabilities may be, in half precision too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnModel(Settings):
    """A network of Keras' applications, or of the user's own code."""

    model_options: str | None = setting(
        None,
        "Options of a --model that is not built in: key=value,key=value. A value is a Python literal or text; commas "
        "within quotes and brackets belong to it.",
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options, by name."""
        return own_parts.parsed_options("model", self.model_options)


def application(
    value: str,
    options: dict[str, Any],
    pixels: "keras.KerasTensor",
    normalised: "keras.KerasTensor",
    classes: int,
) -> "keras.KerasTensor":
    """Logits of a network of `keras.applications`, untrained unless the options say else.

    Args:
        value: `keras:NAME`.
        options: Of Keras' function, before ours.
        pixels: `[batch, height, width, channels]`, 0 to 255.
        normalised: The same, each channel with mean 0 and variance 1.
        classes: Number of classes.

    Raises:
        UserError: There is no such application, or it does not take these images or options.
    """
    import inspect

    import keras

    name = own_parts.source_of("model", value).name
    function = getattr(keras.applications, name, None)
    if not inspect.isfunction(function):
        there = [n for n, member in vars(keras.applications).items() if inspect.isfunction(member)]
        raise UserError(
            f"--model={value}: keras.applications has no {name}; it has {', '.join(sorted(there))}."
        )
    # EfficientNet's first family normalises pixels within, whatever is asked for.
    inputs = pixels if name.startswith("EfficientNetB") else normalised
    ours = {"weights": None, "input_tensor": inputs, "classes": classes, "classifier_activation": None}
    if "include_preprocessing" in inspect.signature(function).parameters:
        ours["include_preprocessing"] = False
    network = own_parts.called("model", value, function, {}, ours | options)
    return network.output


def own_network(
    value: str, options: dict[str, Any], input_shape: tuple[int, ...], num_classes: int
) -> "keras.Model":
    """The network of a user's function `(input_shape, num_classes, **options)`.

    Raises:
        UserError: The function cannot be had, fails, or returns no network with logits of these classes.
    """
    import keras

    function = own_parts.function_of("model", value)
    network = own_parts.called(
        "model", value, function, {"input_shape": tuple(input_shape), "num_classes": num_classes}, options
    )
    if not isinstance(network, keras.Model):
        raise UserError(f"--model={value} returned a {type(network).__name__}: return a keras.Model.")
    try:
        outputs = network(keras.KerasTensor((None, *input_shape)))
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(
            f"--model={value} returned a network that cannot be called on inputs of the shape "
            f"{tuple(input_shape)}: {said}"
        ) from error
    shape = getattr(outputs, "shape", None)
    if shape is None or tuple(shape[1:]) != (num_classes,):
        raise UserError(
            f"--model={value} returned a network with outputs of the shape {shape}: return logits, (None, "
            f"{num_classes})."
        )
    inputs = getattr(network, "inputs", None) or []
    zeros = keras.ops.zeros((1, *input_shape), inputs[0].dtype if inputs else None)
    found = keras.ops.convert_to_numpy(network(zeros))
    activation = getattr(network.layers[-1], "activation", None)
    if activation is keras.activations.sigmoid or (found.min() >= 0 and abs(found.sum() - 1) < _ROUNDING):
        raise UserError(
            f"--model={value} returned a network of probabilities, but the loss takes logits: leave the last "
            "activation (softmax, sigmoid) out."
        )
    return network
