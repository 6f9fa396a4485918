"""--optimizer=lbfgs: limited-memory BFGS with a line search."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.search import SearchSettings
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.optim.rules.lbfgs import LBFGS


@dataclass(frozen=True, kw_only=True, slots=True)
class LBFGSOptions(Settings):
    """Options of `rules.lbfgs.LBFGS`."""

    history: int = setting(10, "Pairs of steps and changes of the gradient; two vectors each.", minimum=1)
    damping: float = setting(
        0.2, "Least curvature along a step as a share of the model's; 0 for none.", minimum=0, below=1
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LBFGSSettings(SearchSettings):
    """Settings of `rules.lbfgs.LBFGS`."""

    summary: ClassVar[str] = "limited-memory BFGS with a line search, of full batches"
    name: ClassVar[str] = "lbfgs"
    has: ClassVar[type[Settings]] = LBFGSOptions
    own_search: ClassVar[str] = "strong_wolfe"
    natural_length: ClassVar[bool] = True

    @staticmethod
    def rule() -> "type[LBFGS]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.lbfgs import LBFGS

        return LBFGS
