"""--optimizer=muon: orthogonalised momentum, of convolutions too."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.optim.methods.search import SearchableRuleSettings
from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.optim.rules.muon import Muon


@dataclass(frozen=True, kw_only=True, slots=True)
class MuonOptions(Settings):
    """Options of `rules.muon.Muon`."""

    momentum: float = setting(0.95, "Of the running mean of gradients.", minimum=0, below=1)
    nesterov: bool = setting(True, "Look one momentum step ahead.")
    newton_schulz_steps: int = setting(5, "Iterations that make a matrix orthogonal.", minimum=1)
    adam_rate: float = setting(
        0.015, "Factor on the rate of what moves by Adam: biases, norms, and the head.", above=0
    )
    head: bool = setting(False, "Orthogonalise the last matrix too.")


@dataclass(frozen=True, kw_only=True, slots=True)
class MuonSettings(SearchableRuleSettings):
    """Settings of `rules.muon.Muon`."""

    summary: ClassVar[str] = "orthogonalised momentum, of convolutions too"
    name: ClassVar[str] = "muon"
    has: ClassVar[type[Settings]] = MuonOptions

    @staticmethod
    def rule() -> "type[Muon]":
        """See `RuleSettings`."""
        from tf_fullbatch.optim.rules.muon import Muon

        return Muon
