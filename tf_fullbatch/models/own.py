"""--model=keras:NAME, FILE.py:function or package.module:function: networks that are not built in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tf_fullbatch.errors import UserError, one_line
from tf_fullbatch.settings import own_parts, part_options
from tf_fullbatch.settings.fields import Settings, setting
from tf_fullbatch.settings.keras_parts import KerasParts

if TYPE_CHECKING:
    import keras


_ROUNDING = 1e-2
"""How far from 1 the sum of probabilities may be, in half precision too."""


_LARGER = (224, 224)
"""Sides of the images that Keras' applications were made for."""


class Expected(NamedTuple):
    """What a loss takes of a network's outputs.

    Attributes:
        one_per_class: One number per class, `[batch, num_classes]`.
        logits: Logits (True), probabilities (False), or anything (None).
    """

    one_per_class: bool = True
    logits: bool | None = True


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnModel(Settings):
    """A network of Keras' applications, or of the user's own code."""

    model_options: str | None = setting(
        None,
        "Options of a --model that is not built in: key=value,key=value. A value is a Python literal or text; commas "
        "within quotes and brackets belong to it.",
        options=True,
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options, by name."""
        return part_options.parsed_options("model", self.model_options)


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

    function = KerasParts("model", keras.applications, inspect.isfunction).part(value)
    # EfficientNet's first family normalises pixels within, whatever is asked for.
    inputs = pixels if function.__name__.startswith("EfficientNetB") else normalised
    ours = {"weights": None, "input_tensor": inputs, "classes": classes, "classifier_activation": None}
    if "include_preprocessing" in inspect.signature(function).parameters:
        ours["include_preprocessing"] = False
    try:
        network = own_parts.called("model", value, function, {}, ours | options)
    except UserError as error:
        _refuse_small_images(value, function, ours | options, error)
        raise
    return network.output


def _refuse_small_images(
    value: str, function: Callable[..., Any], options: dict[str, Any], failed: UserError
) -> None:
    """Says that images are too small, rather than how an application failed, where it takes larger ones."""
    import keras

    height, width, channels = options["input_tensor"].shape[1:]
    larger = {"input_tensor": keras.Input((*_LARGER, channels))}
    try:
        own_parts.called("model", value, function, {}, options | larger)
    except UserError:
        return
    raise UserError(
        f"--model={value} does not take images of {height}x{width}, but those of {_LARGER[0]}x{_LARGER[1]}: give a "
        "larger --image_size."
    ) from failed


def own_network(
    value: str, options: dict[str, Any], input_shape: Any, num_classes: Any, expected: Expected
) -> "keras.Model":
    """The network of a user's function `(input_shape, num_classes, **options)`.

    Args:
        value: Where the function stands.
        options: Of the user.
        input_shape: Of one sample; of several inputs a structure of shapes.
        num_classes: See `data.sources.dataset.num_classes`.
        expected: What the loss takes.

    Raises:
        UserError: The function cannot be had, fails, or returns no network with outputs that the loss takes.
    """
    import keras

    from tf_fullbatch.core import keras_internals

    function = own_parts.function_of("model", value)
    with keras_internals.names_from_the_start():  # the same names, whatever the process has made before
        network = own_parts.called(
            "model", value, function, {"input_shape": input_shape, "num_classes": num_classes}, options
        )
    if not isinstance(network, keras.Model):
        raise UserError(f"--model={value} returned a {type(network).__name__}: return a keras.Model.")
    try:
        outputs = network(_inputs(network, input_shape, lambda shape, dtype: keras.KerasTensor(shape, dtype)))
    except Exception as error:
        said = one_line(error)
        raise UserError(
            f"--model={value} returned a network that cannot be called on inputs of the shape {input_shape}: {said}"
        ) from error
    shape = getattr(outputs, "shape", None)
    if expected.one_per_class and (shape is None or tuple(shape[1:]) != (num_classes,)):
        raise UserError(
            f"--model={value} returned a network with outputs of the shape {shape and (None, *shape[1:])}: return "
            f"logits, (None, {num_classes})."
        )
    if shape is not None and expected.logits is not None and None not in shape[1:]:
        _refuse_other_range(value, network, input_shape, expected.logits)
    return network


def _refuse_other_range(value: str, network: "keras.Model", input_shape: Any, logits: bool) -> None:
    """Refuses probabilities where the loss takes logits, and the other way round."""
    import keras

    found = keras.ops.convert_to_numpy(network(_inputs(network, input_shape, keras.ops.zeros)))
    found = found.reshape(-1, found.shape[-1])
    activation = getattr(network.layers[-1], "activation", None)
    sums_to_one = found.shape[-1] > 1 and abs(found.sum(axis=-1) - 1).max() < _ROUNDING
    are_probabilities = activation is keras.activations.sigmoid or (found.min() >= 0 and sums_to_one)
    if logits and are_probabilities:
        raise UserError(
            f"--model={value} returned a network of probabilities, but the loss takes logits: leave the last "
            "activation (softmax, sigmoid) out."
        )
    if not logits and not are_probabilities:
        raise UserError(
            f"--model={value} returned a network of logits, but the loss takes probabilities: add "
            "--loss_options=from_logits=True (in code of your own, from_logits=True)."
        )


def _inputs(network: "keras.Model", input_shape: Any, made: Callable[[tuple, Any], Any]) -> Any:
    """What `made` makes of the shape of a batch and the dtype of each input."""
    tensors = list(getattr(network, "inputs", None) or [])
    if isinstance(input_shape, Mapping):
        dtypes = {tensor.name: tensor.dtype for tensor in tensors}
        return {name: made((1, *shape), dtypes.get(name)) for name, shape in input_shape.items()}
    if not input_shape or not isinstance(input_shape[0], tuple):
        return made((1, *input_shape), tensors[0].dtype if tensors else None)
    in_order = [tensor.dtype for tensor in tensors] or [None] * len(input_shape)
    return [made((1, *shape), dtype) for shape, dtype in zip(input_shape, in_order, strict=False)]
