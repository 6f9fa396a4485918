"""`l2`, `l1` and `squared_deviation`: penalties on the norm of the weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.transforms.base import TransformSettings, mask, refuse_missing
from tf_fullbatch.settings.fields import check_ranges, setting

if TYPE_CHECKING:
    from tf_fullbatch.core.transforms.base import Transform
    from tf_fullbatch.optim.transforms.variables import Variables


@dataclass(frozen=True, kw_only=True, slots=True)
class _Penalty(TransformSettings):
    """What all have."""

    coefficient: float | None = setting(None, "The penalty's coefficient c.", minimum=0)
    on: str = mask()

    def __post_init__(self) -> None:
        check_ranges(self)
        refuse_missing(self, "coefficient")


@dataclass(frozen=True, kw_only=True, slots=True)
class L2(_Penalty):
    """Settings of `core.transforms.norm_penalties.l2`, coupled weight decay."""

    summary: ClassVar[str] = "coupled weight decay"

    def build(self, variables: "Variables") -> "Transform":
        """See `TransformSettings.build`."""
        from tf_fullbatch.core.transforms.norm_penalties import l2

        assert self.coefficient is not None
        return l2(self.coefficient, variables.on(self.on))


@dataclass(frozen=True, kw_only=True, slots=True)
class L1(_Penalty):
    """Settings of `core.transforms.norm_penalties.l1`."""

    summary: ClassVar[str] = "the weights' signs"

    def build(self, variables: "Variables") -> "Transform":
        """See `TransformSettings.build`."""
        from tf_fullbatch.core.transforms.norm_penalties import l1

        assert self.coefficient is not None
        return l1(self.coefficient, variables.on(self.on))


@dataclass(frozen=True, kw_only=True, slots=True)
class SquaredDeviation(_Penalty):
    """Settings of `core.transforms.norm_penalties.squared_deviation`."""

    summary: ClassVar[str] = "towards weights of one norm"

    norm: float | None = setting(None, "Norm b of the weights that is not penalised.", minimum=0)

    def __post_init__(self) -> None:
        check_ranges(self)
        refuse_missing(self, "coefficient", "norm")

    def build(self, variables: "Variables") -> "Transform":
        """See `TransformSettings.build`."""
        from tf_fullbatch.core.transforms.norm_penalties import squared_deviation

        assert self.coefficient is not None
        assert self.norm is not None
        return squared_deviation(self.coefficient, self.norm, variables.on(self.on))
