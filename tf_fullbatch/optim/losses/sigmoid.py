"""--loss=sigmoid: binary cross-entropies of all classes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.losses.base import LossSettings

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class Sigmoid(LossSettings):
    """Settings of `core.sigmoid.SparseSigmoid`; it has none."""

    summary: ClassVar[str] = "binary cross-entropies against one-hot targets, summed over classes"

    def build(self, name: str) -> "keras.losses.Loss":
        """The loss."""
        from tf_fullbatch.core.sigmoid import SparseSigmoid

        return SparseSigmoid()
