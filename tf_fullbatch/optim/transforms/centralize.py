"""`centralize`: kernels whose mean over the inputs of each output is 0."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.transforms.base import TransformSettings

if TYPE_CHECKING:
    from tf_fullbatch.core.transforms.base import Transform
    from tf_fullbatch.optim.transforms.variables import Variables


@dataclass(frozen=True, kw_only=True, slots=True)
class Centralize(TransformSettings):
    """Settings of `core.transforms.centralization` (Yong et al. 2020, arXiv 2004.01461)."""

    summary: ClassVar[str] = "kernels less their mean over inputs"

    def build(self, variables: "Variables") -> "Transform":
        """See `TransformSettings.build`."""
        from tf_fullbatch.core.transforms.centralization import centralization

        return centralization(variables.outputs)
