"""--optimizer=lars and --optimizer=larc: layer-wise adaptive rates."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.search import SearchableRuleSettings
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.optim.rules.lars import LARC, LARS


@dataclass(frozen=True, kw_only=True, slots=True)
class LARSOptions(Settings):
    """Options of `rules.lars.LARS`."""

    momentum: float = setting(0.9, "Of the momentum.", minimum=0, below=1)
    trust_coefficient: float = setting(
        0.001, "Factor of the ratio of a layer's weight norm to its gradient's.", above=0
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LARSSettings(SearchableRuleSettings):
    """Settings of `rules.lars.LARS`."""

    summary: ClassVar[str] = "layer-wise adaptive rates"
    name: ClassVar[str] = "lars"
    has: ClassVar[type[Settings]] = LARSOptions

    @staticmethod
    def rule() -> "type[LARS]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.lars import LARS

        return LARS


@dataclass(frozen=True, kw_only=True, slots=True)
class LARCOptions(Settings):
    """Options of `rules.lars.LARC`."""

    momentum: float = setting(0.9, "Of the momentum.", minimum=0, below=1)
    trust_coefficient: float = setting(
        0.02, "Factor of the ratio of a layer's weight norm to its gradient's.", above=0
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LARCSettings(SearchableRuleSettings):
    """Settings of `rules.lars.LARC`."""

    summary: ClassVar[str] = "the same, no layer faster than the rate"
    name: ClassVar[str] = "larc"
    has: ClassVar[type[Settings]] = LARCOptions

    @staticmethod
    def rule() -> "type[LARC]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.lars import LARC

        return LARC
