"""--loss=keras:NAME, FILE.py:function or package.module:function: losses that are not built in."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.losses.base import LossSettings
from tf_fullbatch.settings import own_parts, part_names, part_options
from tf_fullbatch.settings.fields import setting

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
        source, options = part_names.source_of("loss", name), self.options
        function = own_parts.function_of("loss", name) if source.is_users else _of_keras(name, source.name)
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


def _of_keras(value: str, name: str) -> Callable[..., Any]:
    import keras

    found = getattr(keras.losses, name, None)
    if inspect.isclass(found) and issubclass(found, keras.losses.Loss) and found is not keras.losses.Loss:
        return found
    there = [
        name
        for name, member in vars(keras.losses).items()
        if inspect.isclass(member) and issubclass(member, keras.losses.Loss) and name != "Loss"
    ]
    raise UserError(f"--loss={value}: keras.losses has no class {name}; it has {', '.join(sorted(there))}.")


def _is_loss(candidate: Any) -> bool:
    import keras

    if candidate is None or isinstance(candidate, keras.losses.Loss):
        return True
    return callable(candidate) and not inspect.isclass(candidate)
