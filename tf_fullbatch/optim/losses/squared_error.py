"""--loss=squared_error: of class numbers and outputs, as the literature on sharpness has it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.losses.base import LossSettings

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class SquaredError(LossSettings):
    """Settings of `core.losses.SparseSquaredError`; it has none."""

    summary: ClassVar[str] = "half the squared distance of the outputs from one-hot targets"

    def build(self, name: str) -> "keras.losses.Loss":
        """The loss."""
        from tf_fullbatch.core.losses import SparseSquaredError

        return SparseSquaredError()
