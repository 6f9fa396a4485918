"""--optimizer=nonlinear_cg: nonlinear conjugate gradients with a line search."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.search import SearchSettings
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.optim.rules.nonlinear_cg import NonlinearCG


@dataclass(frozen=True, kw_only=True, slots=True)
class NonlinearCGOptions(Settings):
    """Options of `rules.nonlinear_cg.NonlinearCG`."""

    beta: str = setting(
        "hager_zhang",
        "The share of the direction before.",
        choices=("hager_zhang", "polak_ribiere", "hestenes_stiefel"),
    )
    restart_every: int = setting(
        0, "Steps after which it begins anew; 0 for as many as there are parameters.", minimum=0
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class NonlinearCGSettings(SearchSettings):
    """Settings of `rules.nonlinear_cg.NonlinearCG`."""

    summary: ClassVar[str] = "nonlinear conjugate gradients with a line search, of full batches"
    name: ClassVar[str] = "nonlinear_cg"
    has: ClassVar[type[Settings]] = NonlinearCGOptions
    own_search: ClassVar[str] = "hager_zhang"

    @staticmethod
    def rule() -> "type[NonlinearCG]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.nonlinear_cg import NonlinearCG

        return NonlinearCG
