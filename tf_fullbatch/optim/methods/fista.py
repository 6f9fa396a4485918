"""--optimizer=fista: accelerated gradient descent with restarts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.search import SearchSettings
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.optim.rules.fista import Fista

RESTARTS = ("gradient", "function", "none")
"""Schemes by which the momentum begins anew."""
SEARCHES = ("none", "armijo")
"""Searches that keep the bound that the method rests on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FistaOptions(Settings):
    """Options of `rules.fista.Fista`."""

    restart: str = setting("gradient", "When the momentum begins anew.", choices=RESTARTS)
    p: float = setting(1.0, "Of t' = (p + sqrt(q + r t^2)) / 2.", above=0)
    q: float = setting(1.0, "Of t'.", above=0)
    r: float = setting(4.0, "Of t'.", above=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class FistaSettings(SearchSettings):
    """Settings of `rules.fista.Fista`."""

    summary: ClassVar[str] = "accelerated gradient descent with restarts"
    name: ClassVar[str] = "fista"
    has: ClassVar[type[Settings]] = FistaOptions
    own_search: ClassVar[str] = "armijo"
    searches: ClassVar[tuple[str, ...]] = SEARCHES

    @staticmethod
    def rule() -> "type[Fista]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.fista import Fista

        return Fista
