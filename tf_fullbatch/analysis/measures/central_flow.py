"""--measure=central_flow: where gradient descent is on average at the edge of stability, and how far it oscillates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.analysis.measures.base import MeasureSettings, Quantity
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    from tf_fullbatch.analysis.beginning import Beginning
    from tf_fullbatch.analysis.measures.central_flow_beside import CentralFlowBeside

_LOSS, _NORM, _OSCILLATION = "loss", "squared gradient norm", "oscillation"


@dataclass(frozen=True, kw_only=True, slots=True)
class CentralFlowMeasureSettings(MeasureSettings):
    """Settings of the central flow beside gradient descent (Cohen et al. 2024, arXiv 2410.24206).

    It starts at the weights of the first moment and follows every step, whatever --measure_every says. What it
    predicts are means over an oscillation: compare means of many moments, `flows.comparison.compare`.
    """

    summary: ClassVar[str] = (
        "the central flow of plain gradient descent beside it, 4 steps of a flow per step"
    )
    needs_second_derivatives: ClassVar[bool] = True
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "loss": Quantity("The loss at the weights.", panel=_LOSS),
        "predicted_loss": Quantity(
            "Its predicted mean, L(theta) + tr Sigma / lr, theta on the flow.", panel=_LOSS
        ),
        "flow_loss": Quantity("The loss on the flow, L(theta).", panel=_LOSS),
        "squared_gradient_norm": Quantity("|g|^2 at the weights.", panel=_NORM),
        "predicted_squared_gradient_norm": Quantity(
            "Its predicted mean, |g(theta)|^2 + (4 / lr^2) tr Sigma.", panel=_NORM
        ),
        "squared_displacement": Quantity(
            "sum_i (v_i . (w - theta))^2 along the directions v_i in which the flow predicts oscillation.",
            panel=_OSCILLATION,
        ),
        "predicted_variance": Quantity("Its predicted mean, tr Sigma.", panel=_OSCILLATION),
        "distance": Quantity("|w - theta|."),
        "flow_sharpness": Quantity("The Hessian's largest eigenvalue on the flow; at most 2 / lr."),
        "critical_directions": Quantity("Eigenvalues on the flow above 1.95 / lr, which may oscillate."),
    }

    substeps: int = setting(4, "Euler steps of the flow per step of training.", minimum=1)
    tolerance: float = setting(
        1e-4, "Residual, as a share of the eigenvalue, that is converged.", above=0, below=1
    )

    def check(self, training: "Beginning") -> None:
        """See `MeasureSettings.check`; it describes plain gradient descent of one smooth loss."""
        from tf_fullbatch.analysis.flows.refusals import refuse_without_flow

        MeasureSettings.check(self, training)
        beside = [*training.beside_the_method, *training.beside_the_gradient]
        refuse_without_flow(training, beside, third_derivatives=True)

    def build(self) -> "CentralFlowBeside":
        """The measure."""
        from tf_fullbatch.analysis.measures.central_flow_beside import CentralFlowBeside

        return CentralFlowBeside(self.quantities, self.substeps, self.tolerance)
