"""`weight_decay` of the update: decoupled from the method."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.transforms.base import TransformSettings, mask, refuse_missing
from tf_fullbatch.settings.fields import check_ranges, setting

if TYPE_CHECKING:
    from tf_fullbatch.core.transforms.base import Transform
    from tf_fullbatch.optim.transforms.variables import Variables


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightDecay(TransformSettings):
    """Settings of `core.transforms.weight_decay` (Loshchilov & Hutter 2019, arXiv 1711.05101)."""

    summary: ClassVar[str] = "decoupled"

    coefficient: float | None = setting(None, "Share of the weights that is taken from them.", minimum=0)
    times_rate: bool = setting(True, "Multiply it by the learning rate of the step.")
    on: str = mask()

    def __post_init__(self) -> None:
        check_ranges(self)
        refuse_missing(self, "coefficient")

    def build(self, variables: "Variables") -> "Transform":
        """See `TransformSettings.build`."""
        from tf_fullbatch.core.transforms.weight_decay import decoupled_weight_decay

        assert self.coefficient is not None
        return decoupled_weight_decay(self.coefficient, variables.on(self.on), times_rate=self.times_rate)
