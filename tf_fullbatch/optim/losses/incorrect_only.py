"""--loss=incorrect_only: cross-entropy of the samples that are not yet correct."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.losses.base import LossSettings

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class IncorrectOnly(LossSettings):
    """Settings of `core.incorrect_only.IncorrectOnly`; it has none."""

    summary: ClassVar[str] = (
        "cross-entropy of the samples that are not yet classified correctly, 0 of the others"
    )

    def build(self, name: str) -> "keras.losses.Loss":
        """The loss."""
        from tf_fullbatch.core.incorrect_only import IncorrectOnly

        return IncorrectOnly()
