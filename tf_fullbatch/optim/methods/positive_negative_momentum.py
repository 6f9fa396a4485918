"""--optimizer=pnm and --optimizer=adapnm: positive-negative momentum."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.search import SearchableRuleSettings
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.optim.rules.positive_negative_momentum import PNM, AdaPNM


@dataclass(frozen=True, kw_only=True, slots=True)
class PNMOptions(Settings):
    """Options of `rules.positive_negative_momentum.PNM`."""

    beta_1: float = setting(0.9, "Momentum.", minimum=0, below=1)
    beta_0: float = setting(1.0, "Weight of the negative momentum.", minimum=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class PNMSettings(SearchableRuleSettings):
    """Settings of `rules.positive_negative_momentum.PNM`."""

    summary: ClassVar[str] = "positive-negative momentum"
    name: ClassVar[str] = "pnm"
    has: ClassVar[type[Settings]] = PNMOptions

    @staticmethod
    def rule() -> "type[PNM]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.positive_negative_momentum import PNM

        return PNM


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaPNMOptions(PNMOptions):
    """Options of `rules.positive_negative_momentum.AdaPNM`."""

    beta_2: float = setting(0.999, "Of the running mean of squared gradients.", minimum=0, below=1)
    epsilon: float = setting(1e-8, "Added to its root.", above=0)
    amsgrad: bool = setting(True, "Divide by the largest mean so far.")


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaPNMSettings(SearchableRuleSettings):
    """Settings of `rules.positive_negative_momentum.AdaPNM`."""

    summary: ClassVar[str] = "the same over the root of mean squares"
    name: ClassVar[str] = "adapnm"
    has: ClassVar[type[Settings]] = AdaPNMOptions

    @staticmethod
    def rule() -> "type[AdaPNM]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.positive_negative_momentum import AdaPNM

        return AdaPNM
