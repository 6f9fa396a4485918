"""--optimizer=adamw: Keras' own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.base import LearningRate, OptimizerSettings, weight_decay

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class AdamWSettings(OptimizerSettings):
    """Settings of `keras.optimizers.AdamW`: its decay is decoupled, `p - lr * weight_decay * p` beside Adam's step.

    Source: Loshchilov & Hutter 2019 (arXiv 1711.05101).
    """

    summary: ClassVar[str] = "Keras', with betas 0.9 and 0.999"

    weight_decay: float = weight_decay()

    def build(self, learning_rate: LearningRate) -> "keras.optimizers.Optimizer":
        """The optimizer."""
        import keras

        return keras.optimizers.AdamW(
            learning_rate,
            weight_decay=self.weight_decay,
            beta_1=0.9,
            beta_2=0.999,
            epsilon=1e-8,
            name="adamw",
        )
