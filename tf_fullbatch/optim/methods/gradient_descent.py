"""--optimizer=gradient_descent: momentum, optionally Nesterov's, and coupled weight decay."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.base import LearningRate, OptimizerSettings, weight_decay
from tf_fullbatch.optim.methods.search import OptionalSearch, line_search, line_search_options, search_options
from tf_fullbatch.settings.fields import check_ranges, setting

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientDescentSettings(OptionalSearch, OptimizerSettings):
    """Settings of `rules.gradient_descent.GradientDescent`."""

    summary: ClassVar[str] = "with momentum, Nesterov and coupled weight decay as published"

    momentum: float = setting(0.9, "Momentum of gradient_descent.", minimum=0, below=1)
    nesterov: bool = setting(True, "Nesterov momentum.")
    weight_decay: float = weight_decay()
    line_search: str | None = line_search()
    line_search_options: str | None = line_search_options()

    def __post_init__(self) -> None:
        check_ranges(self)
        search_options(self.line_search, self.line_search_options)

    def build(self, learning_rate: LearningRate) -> "keras.optimizers.Optimizer":
        """The optimizer."""
        if self.asks:
            from tf_fullbatch.optim.rules.searched_gradient_descent import SearchedGradientDescent

            return SearchedGradientDescent(
                learning_rate,
                momentum=self.momentum,
                nesterov=self.nesterov,
                weight_decay=self.weight_decay,
                **self.search_arguments(),
            )
        from tf_fullbatch.optim.rules.gradient_descent import GradientDescent

        return GradientDescent(
            learning_rate, momentum=self.momentum, nesterov=self.nesterov, weight_decay=self.weight_decay
        )
