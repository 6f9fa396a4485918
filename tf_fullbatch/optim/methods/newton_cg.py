"""--optimizer=newton_cg: Newton's method by conjugate gradients, with a line search."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.core.names import CURVATURES
from tf_fullbatch.optim.methods.search import SearchSettings
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.optim.rules.newton_cg import NewtonCG


@dataclass(frozen=True, kw_only=True, slots=True)
class NewtonCGOptions(Settings):
    """Options of `rules.newton_cg.NewtonCG`."""

    curvature: str = setting("hessian", "The matrix.", choices=CURVATURES)
    damping: float = setting(0.0, "Added to its diagonal.", minimum=0)
    most_products: int = setting(
        20, "Products with it per step, of two gradient evaluations each.", minimum=1
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class NewtonCGSettings(SearchSettings):
    """Settings of `rules.newton_cg.NewtonCG`."""

    summary: ClassVar[str] = "Newton's method by conjugate gradients, with a line search"
    name: ClassVar[str] = "newton_cg"
    has: ClassVar[type[Settings]] = NewtonCGOptions
    own_search: ClassVar[str] = "armijo"
    natural_length: ClassVar[bool] = True

    @staticmethod
    def rule() -> "type[NewtonCG]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.newton_cg import NewtonCG

        return NewtonCG
