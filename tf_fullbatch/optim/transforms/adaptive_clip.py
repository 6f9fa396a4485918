"""`adaptive_clip`: each unit's gradient at most a share of its weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.transforms.base import TransformSettings
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    from tf_fullbatch.core.transforms.base import Transform
    from tf_fullbatch.optim.transforms.variables import Variables


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptiveClip(TransformSettings):
    """Settings of `core.transforms.adaptive_clipping` (Brock et al. 2021, arXiv 2102.06171)."""

    summary: ClassVar[str] = "each unit's gradient at most a share of its weights"

    threshold: float = setting(0.01, "Largest ratio of the norms of gradient and weights.", above=0)
    head: bool = setting(False, "Clip the layer of the last kernel too.")

    def build(self, variables: "Variables") -> "Transform":
        """See `TransformSettings.build`."""
        from tf_fullbatch.core.transforms.adaptive_clipping import adaptive_clipping

        included = [self.head or not within for within in variables.head()]
        return adaptive_clipping(self.threshold, variables.outputs, included)
