"""--optimizer=adai and --optimizer=adaiw: adaptive inertia."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.base import LearningRate
from tf_fullbatch.optim.methods.rule import RuleSettings
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    import keras

    from tf_fullbatch.optim.rules.adai import Adai


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaiOptions(Settings):
    """Options of `rules.adai.Adai`."""

    beta_0: float = setting(0.1, "What the mean inertia falls short of 1 by.", minimum=0, below=1)
    beta_2: float = setting(0.99, "Of the running mean of squared gradients.", minimum=0, below=1)
    epsilon: float = setting(1e-3, "Least that an inertia falls short of 1 by.", above=0, below=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaiSettings(RuleSettings):
    """Settings of `rules.adai.Adai`."""

    summary: ClassVar[str] = "adaptive inertia; the rate is that of descent without momentum"
    name: ClassVar[str] = "adai"
    has: ClassVar[type[Settings]] = AdaiOptions

    @staticmethod
    def rule() -> "type[Adai]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.adai import Adai

        return Adai


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaiWSettings(AdaiSettings):
    """Settings of `rules.adai.Adai` with decoupled decay."""

    summary: ClassVar[str] = "the same with decoupled decay"
    name: ClassVar[str] = "adaiw"

    def build(self, learning_rate: LearningRate) -> "keras.optimizers.Optimizer":
        """The optimizer."""
        options = dataclasses.asdict(self.options())
        return self.rule()(
            learning_rate, weight_decay=self.weight_decay, decoupled=True, name=self.name, **options
        )
