"""--optimizer=normalized: steps along the gradient, as long as the rate."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.search import SearchableRuleSettings
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.optim.rules.normalized import NormalizedDescent


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalizedDescentOptions(Settings):
    """Options of `rules.normalized.NormalizedDescent`."""

    momentum: float = setting(0.0, "Of the running mean of gradients that is normalised.", minimum=0, below=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalizedDescentSettings(SearchableRuleSettings):
    """Settings of `rules.normalized.NormalizedDescent`."""

    summary: ClassVar[str] = "the gradient over its norm"
    name: ClassVar[str] = "normalized"
    has: ClassVar[type[Settings]] = NormalizedDescentOptions

    @staticmethod
    def rule() -> "type[NormalizedDescent]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.normalized import NormalizedDescent

        return NormalizedDescent
