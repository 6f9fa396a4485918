"""--loss=cross_entropy: of class numbers and logits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.losses.base import LossSettings
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossEntropy(LossSettings):
    """Settings of `core.losses.SparseCrossentropy`."""

    summary: ClassVar[str] = "of class numbers and logits"

    label_smoothing: float = setting(
        0.0, "Share of the target probability spread evenly over all classes.", minimum=0, below=1
    )

    def build(self, name: str) -> "keras.losses.Loss":
        """The loss."""
        from tf_fullbatch.core.losses import SparseCrossentropy

        return SparseCrossentropy(self.label_smoothing)
