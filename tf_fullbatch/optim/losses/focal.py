"""--loss=focal: cross-entropy with less weight on samples that are surely right."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.losses.base import LossSettings
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class Focal(LossSettings):
    """Settings of `core.focal.SparseFocal`."""

    summary: ClassVar[str] = "cross-entropy times (1 - p)^gamma, p of the true class"

    focal_gamma: float = setting(2.0, "Exponent gamma of the focal loss (Lin et al. 2017).", minimum=0)

    def build(self, name: str) -> "keras.losses.Loss":
        """The loss."""
        from tf_fullbatch.core.focal import SparseFocal

        return SparseFocal(self.focal_gamma)
