"""`clip`: the norm of all entries is bounded."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.core.names import CLIP_NORM_TYPES
from tf_fullbatch.optim.transforms.base import TransformSettings, refuse_missing
from tf_fullbatch.settings.fields import check_ranges, setting

if TYPE_CHECKING:
    from tf_fullbatch.core.transforms.base import Transform
    from tf_fullbatch.optim.transforms.variables import Variables


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip(TransformSettings):
    """Settings of `core.transforms.clipping`; of the gradient they stand in --clip_norm and --clip_norm_type."""

    summary: ClassVar[str] = "the norm of it all"

    norm: float | None = setting(None, "Largest norm.", above=0)
    norm_type: str = setting("l2", "Norm that is clipped.", choices=CLIP_NORM_TYPES)

    def __post_init__(self) -> None:
        check_ranges(self)
        refuse_missing(self, "norm")

    def build(self, variables: "Variables") -> "Transform":
        """See `TransformSettings.build`."""
        del variables
        from tf_fullbatch.core.transforms.clipping import clipping

        assert self.norm is not None
        return clipping(self.norm, self.norm_type)
