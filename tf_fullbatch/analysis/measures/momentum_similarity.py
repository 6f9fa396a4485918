"""--measure=momentum_similarity: how well the optimizer's momentum agrees with the present gradient."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity
from tf_fullbatch.errors import UserError

if TYPE_CHECKING:
    from tf_fullbatch.analysis.beginning import Beginning


@dataclass(frozen=True, kw_only=True, slots=True)
class MomentumSimilaritySettings(MeasureSettings):
    """Settings of `MomentumSimilarity`."""

    summary: ClassVar[str] = "cosine between the optimizer's momentum and the gradient"
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "momentum_similarity": Quantity(
            "m . g / (|m| |g|), m the optimizer's running mean or sum of gradients and g the gradient of the training "
            "loss: 1 where gradients keep their direction, negative where they turn round, as at the edge of "
            "stability. nan before the optimizer's first step.",
            level=0.0,
        ),
    }

    def check(self, training: "Beginning") -> None:
        """See `MeasureSettings.check`; it needs a momentum."""
        MeasureSettings.check(self, training)
        if not training.has_momentum:
            raise UserError("the method keeps no momentum: set --momentum, or measure something else.")

    def build(self) -> "MomentumSimilarity":
        """The measure."""
        return MomentumSimilarity()


class MomentumSimilarity(Measure):
    """The direction of past gradients beside the present one; one gradient evaluation, shared with other measures."""

    def figures(self, moment: Moment) -> list[Figure]:
        """See `Measure.figures`."""
        from tf_fullbatch.analysis.angles import cosine

        momentum = moment.momentum()
        similarity = math.nan if momentum is None else cosine(momentum, moment.point().gradient)
        return [Figure("momentum_similarity", similarity)]
