"""--measure=gradient_flow: how far a training is from gradient flow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.analysis.measures.base import MeasureSettings, Quantity
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    from tf_fullbatch.analysis.beginning import Beginning
    from tf_fullbatch.analysis.measures.gradient_flow_beside import GradientFlowBeside


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientFlowMeasureSettings(MeasureSettings):
    """Settings of gradient flow, dw/dt = -g(w), beside gradient descent (Cohen et al. 2021, arXiv 2103.00065).

    It starts at the weights of the first moment and follows every step for the time of the learning rate, in as many
    steps of Runge and Kutta's method as the sharpness on its way asks for.
    """

    summary: ClassVar[str] = "gradient flow beside plain gradient descent, 4 gradients or more per step"
    needs_second_derivatives: ClassVar[bool] = True
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "loss": Quantity("The loss at the weights.", panel="loss"),
        "flow_loss": Quantity("The loss on the flow.", panel="loss"),
        "distance": Quantity("|w - theta|, theta on the flow."),
        "flow_sharpness": Quantity("The Hessian's largest eigenvalue on the flow."),
        "substeps": Quantity("Steps of Runge and Kutta's method since the last measurement.", "steps"),
    }

    tolerance: float = setting(
        1e-4, "Residual, as a share of the eigenvalue, that is converged.", above=0, below=1
    )

    def check(self, training: "Beginning") -> None:
        """See `MeasureSettings.check`; it stands beside plain gradient descent of one loss."""
        from tf_fullbatch.analysis.flows.refusals import refuse_without_flow

        MeasureSettings.check(self, training)
        beside = [*training.beside_the_method, *training.beside_the_gradient]
        refuse_without_flow(training, beside, third_derivatives=False)

    def build(self) -> "GradientFlowBeside":
        """The measure."""
        from tf_fullbatch.analysis.measures.gradient_flow_beside import GradientFlowBeside

        return GradientFlowBeside(self.quantities, self.tolerance)
