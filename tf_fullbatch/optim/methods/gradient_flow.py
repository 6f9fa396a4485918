"""--optimizer=gradient_flow: the limit of gradient descent at small rates."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.base import LearningRate, OptimizerSettings, flow_tolerance
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientFlowSettings(OptimizerSettings):
    """Settings of `rules.gradient_flow.GradientFlow`."""

    summary: ClassVar[str] = "by Runge and Kutta's method, for the time of the learning rate per step"
    asks_objective: ClassVar[bool] = True

    flow_solve_every: int = setting(
        1, "Steps of Runge and Kutta's method between eigenvalues of gradient_flow.", minimum=1
    )
    flow_tolerance: float = flow_tolerance()

    def build(self, learning_rate: LearningRate) -> "keras.optimizers.Optimizer":
        """The optimizer."""
        from tf_fullbatch.optim.rules.gradient_flow import GradientFlow

        return GradientFlow(learning_rate, solve_every=self.flow_solve_every, tolerance=self.flow_tolerance)
