"""`noise`: Gaussian, on every coordinate."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.transforms.base import TransformSettings
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    from tf_fullbatch.core.transforms.base import Transform
    from tf_fullbatch.optim.transforms.variables import Variables


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise(TransformSettings):
    """Settings of `core.transforms.langevin_noise`, which stand in --additive_noise and --seed."""

    summary: ClassVar[str] = "Langevin's"

    standard_deviation: float = setting(0.0, "Of every coordinate.", minimum=0)
    seed: int = setting(0, "Of the run.", minimum=0)

    def build(self, variables: "Variables") -> "Transform":
        """See `TransformSettings.build`."""
        del variables
        from tf_fullbatch.core.transforms.langevin_noise import langevin_noise

        return langevin_noise(self.standard_deviation, self.seed)
