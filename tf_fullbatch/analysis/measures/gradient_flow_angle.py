"""--measure=gradient_flow_angle: how far a step is from following the gradient."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientFlowAngleSettings(MeasureSettings):
    """Settings of `GradientFlowAngle`."""

    summary: ClassVar[str] = "angle between the next update and the negative gradient"
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "gradient_flow_angle": Quantity(
            "Angle between what the next step adds to the weights, u, and -g, g the gradient of the training loss: 0 "
            "for gradient descent; from 90 on the step is no descent. nan where one of them is 0.",
            "degrees",
        ),
        "gradient_flow_cosine": Quantity("Its cosine, -u . g / (|u| |g|).", drawn="not"),
    }

    def build(self) -> "GradientFlowAngle":
        """The measure."""
        return GradientFlowAngle()


class GradientFlowAngle(Measure):
    """The direction of the update beside that of gradient flow, `dw/dt = -g`.

    Momentum, the denominators of Adam, weight decay, the penalty and transforms turn it; clipping and the rate
    do not. One gradient evaluation and one step's, both shared with other measures.
    """

    def figures(self, moment: Moment) -> list[Figure]:
        """See `Measure.figures`."""
        from tf_fullbatch.analysis.angles import angle, cosine
        from tf_fullbatch.core import trees

        update, downhill = moment.update(), trees.scale(-1.0, moment.point().gradient)
        return [
            Figure("gradient_flow_angle", angle(update, downhill)),
            Figure("gradient_flow_cosine", cosine(update, downhill)),
        ]
