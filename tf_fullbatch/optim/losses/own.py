"""--loss=keras:NAME, FILE.py:function or package.module:function: losses that are not built in."""

import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.losses.base import LossSettings
from tf_fullbatch.settings import own_parts, part_names, part_options
from tf_fullbatch.settings.fields import setting
from tf_fullbatch.settings.keras_parts import KerasParts

_OF_A_LOSS = ("targets", "outputs")


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnLoss(LossSettings):
    """A loss of Keras, or of the user's own code."""

    loss_options: str | None = setting(
        None,
        "Options of a --loss that is not built in, as --model_options, such as from_logits=True.",
        options=True,
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options, by name."""
        return part_options.parsed_options("loss", self.loss_options)

    def build(self, name: str) -> Any:
        """A loss of Keras; what the user's function `(**options)` returns; or that function itself, where it is a
        loss `(targets, outputs, **options)`.

        Raises:
            UserError: It cannot be had, does not take these options, or is no loss.
        """
        options, is_users = self.options, part_names.is_users_code(name)
        function = own_parts.function_of("loss", name) if is_users else of_keras().part(name)
        if not inspect.isclass(function) and own_parts.is_part_itself(function, {}, _OF_A_LOSS, options):
            return functools.partial(function, **options) if options else function
        loss = own_parts.called("loss", name, function, {}, options)
        parts = list(loss.values()) if isinstance(loss, Mapping) else loss
        if not all(map(_is_loss, parts if isinstance(parts, list | tuple) else [parts])):
            raise UserError(
                f"--loss={name} returned a {type(loss).__name__}: return a keras.losses.Loss or a function (targets, "
                "outputs) of losses per sample; of several outputs a list or a dictionary of them."
            )
        return loss


def of_keras() -> KerasParts:
    """Keras' classes of losses."""
    import keras

    base = keras.losses.Loss
    return KerasParts(
        "loss",
        keras.losses,
        lambda member: inspect.isclass(member) and issubclass(member, base) and member is not base,
        _spelled_out,
    )


def _spelled_out(name: str) -> str:
    """Of a short name of Keras, such as "mse", that of its function; other names as they are."""
    import keras

    try:
        return getattr(keras.losses.get(name), "__name__", name)
    except ValueError:  # there is none
        return name


def _is_loss(candidate: Any) -> bool:
    import keras

    if candidate is None or isinstance(candidate, keras.losses.Loss):
        return True
    return callable(candidate) and not inspect.isclass(candidate)
