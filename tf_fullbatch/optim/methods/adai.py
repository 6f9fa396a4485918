"""--optimizer=adai and --optimizer=adaiw: adaptive inertia."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.optim.methods.search import SearchableRuleSettings
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.optim.rules.adai import Adai


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaiOptions(Settings):
    """Options of `rules.adai.Adai`."""

    beta_0: float = setting(0.1, "What the mean inertia falls short of 1 by.", minimum=0, below=1)
    beta_2: float = setting(0.99, "Of the running mean of squared gradients.", minimum=0, below=1)
    epsilon: float = setting(1e-3, "Least that an inertia falls short of 1 by.", above=0, below=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaiSettings(SearchableRuleSettings):
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

    def arguments(self) -> dict[str, Any]:
        """See `RuleSettings`."""
        return SearchableRuleSettings.arguments(self) | {"decoupled": True, "name": self.name}
