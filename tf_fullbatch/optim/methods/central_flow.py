"""--optimizer=central_flow: where gradient descent is on average over its oscillations."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.base import LearningRate, OptimizerSettings, flow_tolerance
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class CentralFlowSettings(OptimizerSettings):
    """Settings of `rules.central_flow.CentralFlow`."""

    summary: ClassVar[str] = "the central flow of gradient descent, of smooth networks"
    asks_objective: ClassVar[bool] = True

    flow_substeps: int = setting(4, "Euler steps of central_flow per step.", minimum=1)
    flow_vectors: int = setting(
        10, "Eigenvectors that central_flow keeps from step to step, 8 bytes per weight each.", minimum=1
    )
    flow_tolerance: float = flow_tolerance()

    def build(self, learning_rate: LearningRate) -> "keras.optimizers.Optimizer":
        """The optimizer."""
        from tf_fullbatch.optim.rules.central_flow import CentralFlow

        return CentralFlow(
            learning_rate,
            substeps=self.flow_substeps,
            kept_vectors=self.flow_vectors,
            tolerance=self.flow_tolerance,
        )
