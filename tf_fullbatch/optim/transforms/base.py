"""What a transform's settings are asked for."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.core.transforms.base import Transform
    from tf_fullbatch.optim.transforms.variables import Variables

MASKS = ("all", "no_norm", "weights")
"""Which variables a transform is for: all that train; all but those of normalisation layers; kernels alone."""


class TransformSettings(Settings, ABC):
    """Settings of a transform, its options in brackets; importing them imports no TensorFlow."""

    __slots__ = ()
    summary: ClassVar[str] = ""
    """What --help says of it, in brackets after its name."""

    @abstractmethod
    def build(self, variables: "Variables") -> "Transform":
        """The transform.

        Args:
            variables: What it is of.
        """


def mask() -> Any:
    """The option `on`."""
    return setting(
        "all",
        "Variables it is for: all, no_norm (not those of normalisation layers) or weights (kernels alone).",
        choices=MASKS,
    )


def refuse_missing(settings: Settings, *names: str) -> None:
    """Refuses options without a default that were not given.

    Raises:
        UserError: One of them is None.
    """
    missing = [name for name in names if getattr(settings, name) is None]
    if missing:
        raise UserError(f"it needs {', '.join(f'{name}=NUMBER' for name in missing)} in brackets.")
