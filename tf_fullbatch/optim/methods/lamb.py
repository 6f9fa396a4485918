"""--optimizer=lamb: layer-wise adaptive moments, as published."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.search import SearchableRuleSettings
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.optim.rules.lamb import LAMB


@dataclass(frozen=True, kw_only=True, slots=True)
class LAMBOptions(Settings):
    """Options of `rules.lamb.LAMB`."""

    beta_1: float = setting(0.9, "Of the running mean of gradients.", minimum=0, below=1)
    beta_2: float = setting(0.999, "Of the running mean of their squares.", minimum=0, below=1)
    epsilon: float = setting(1e-6, "Added to the root of the latter.", above=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class LAMBSettings(SearchableRuleSettings):
    """Settings of `rules.lamb.LAMB`."""

    summary: ClassVar[str] = "Adam with layer-wise adaptive rates, decay within the ratio"
    name: ClassVar[str] = "lamb"
    has: ClassVar[type[Settings]] = LAMBOptions

    @staticmethod
    def rule() -> "type[LAMB]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.lamb import LAMB

        return LAMB
