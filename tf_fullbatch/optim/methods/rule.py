"""Settings of optimizers whose options come by --optimizer_options."""

import dataclasses
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.optim.methods.base import LearningRate, OptimizerSettings, optimizer_options, weight_decay
from tf_fullbatch.settings.fields import Settings, check_ranges
from tf_fullbatch.settings.part_options import parsed_options
from tf_fullbatch.settings.several_parts import with_own_options

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleSettings(OptimizerSettings):
    """Settings of a `rules.update_rule.UpdateRule`, or of another optimizer that takes its options."""

    name: ClassVar[str] = ""
    """What --optimizer calls it."""
    has: ClassVar[type[Settings]] = Settings
    """The options: each is an argument of the rule."""

    weight_decay: float = weight_decay()
    optimizer_options: str | None = optimizer_options()

    def __post_init__(self) -> None:
        check_ranges(self)
        self.options()

    def options(self) -> Any:
        """The options, of the class `has`.

        Raises:
            UserError: One that the rule has not, or out of its range.
        """
        given = parsed_options("optimizer", self.optimizer_options)
        return with_own_options("optimizer", self.name, self.has, given)

    def arguments(self) -> dict[str, Any]:
        """Those of the rule, beside its rate and decay."""
        return dataclasses.asdict(self.options())

    @staticmethod
    @abstractmethod
    def rule() -> "type[keras.optimizers.Optimizer]":
        """The class of the optimizer."""

    def build(self, learning_rate: LearningRate) -> "keras.optimizers.Optimizer":
        """The optimizer."""
        return self.rule()(learning_rate, weight_decay=self.weight_decay, **self.arguments())
