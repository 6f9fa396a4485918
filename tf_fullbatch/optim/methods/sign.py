"""--optimizer=sign: the signs of the gradient or of its running mean."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.search import SearchableRuleSettings
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.optim.rules.sign import SignDescent


@dataclass(frozen=True, kw_only=True, slots=True)
class SignDescentOptions(Settings):
    """Options of `rules.sign.SignDescent`."""

    momentum: float = setting(
        0.0, "Of the running mean of gradients whose signs are taken.", minimum=0, below=1
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SignDescentSettings(SearchableRuleSettings):
    """Settings of `rules.sign.SignDescent`."""

    summary: ClassVar[str] = "the gradient's signs; momentum=0.9 is Signum"
    name: ClassVar[str] = "sign"
    has: ClassVar[type[Settings]] = SignDescentOptions

    @staticmethod
    def rule() -> "type[SignDescent]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.sign import SignDescent

        return SignDescent
