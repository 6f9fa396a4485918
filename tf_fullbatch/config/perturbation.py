"""--perturbation: gradients at weights perturbed along them, in the forms that have names (`core.perturbations`)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.fields import Settings, setting
from tf_fullbatch.settings.part_options import parsed_options
from tf_fullbatch.settings.several_parts import with_own_options

if TYPE_CHECKING:
    from tf_fullbatch.core.perturbations import Perturbation


WHOLE, MICRO_BATCH = "whole", "micro_batch"
"""Whose gradient the weights are perturbed along."""


def _of() -> str:
    return setting(
        WHOLE,
        "Along whose gradient: that of the whole update batch, by a pass before, or each micro-batch's own.",
        choices=(WHOLE, MICRO_BATCH),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sam(Settings):
    """Sharpness-aware minimisation along the whole gradient (Foret et al. 2021, with m the update batch)."""

    radius: ClassVar[float] = 0.05
    summary: ClassVar[str] = "sharpness-aware minimisation, along the whole gradient"
    of: ClassVar[str] = WHOLE

    def build(self, radius: float) -> "Perturbation":
        """The perturbation of a radius."""
        from tf_fullbatch.core.perturbations import Perturbation

        return Perturbation(radius=radius)


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroBatchSam(Sam):
    """The same along each micro-batch's own gradient: m-SAM of Foret et al. 2021, section 4.1."""

    summary: ClassVar[str] = "the same along each micro-batch's"
    of: ClassVar[str] = MICRO_BATCH


@dataclass(frozen=True, kw_only=True, slots=True)
class Asam(Settings):
    """Adaptive sharpness-aware minimisation (Kwon et al. 2021)."""

    radius: ClassVar[float] = 0.5
    summary: ClassVar[str] = "adaptive, in units of the weights"

    of: str = _of()
    eta: float = setting(0.01, "Added to the magnitudes of weights.", minimum=0)

    def build(self, radius: float) -> "Perturbation":
        """The perturbation of a radius."""
        from tf_fullbatch.core.perturbations import Perturbation

        return Perturbation(radius=radius, adaptive=True, eta=self.eta)


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientNorm(Settings):
    """`(1 - a) g + a g(w + r g / |g|)`: the penalty on the gradient's norm (Zhao et al. 2022)."""

    radius: ClassVar[float] = 0.05
    summary: ClassVar[str] = "both gradients, by a weight: the penalty on the gradient's norm"

    of: str = _of()
    weight: float = setting(0.8, "a, of the gradient at the perturbed weights.", above=0)
    warmup_epochs: float = setting(0.0, "Passes over which it rises linearly from 0.", minimum=0)
    proportional: bool = setting(
        False, "Multiply it by the gradient's norm, as forward differences of the gradient penalty do."
    )

    def build(self, radius: float) -> "Perturbation":
        """The perturbation of a radius."""
        from tf_fullbatch.core.perturbations import Perturbation

        return Perturbation(
            radius=radius,
            weight=self.weight,
            warmup_epochs=self.warmup_epochs,
            proportional=self.proportional,
        )


Chosen = Sam | Asam | GradientNorm

PERTURBATIONS: dict[str, type[Chosen]] = {
    "sam": Sam,
    "micro_batch_sam": MicroBatchSam,
    "asam": Asam,
    "gradient_norm": GradientNorm,
}


def perturbation_settings(name: str, options: str | None) -> Chosen | None:
    """The settings of a perturbation of a name; None for "none".

    Args:
        name: "none" or a key of `PERTURBATIONS`.
        options: What --perturbation_options has.

    Raises:
        UserError: It has not such options, or they are out of range.
    """
    given = parsed_options("perturbation", options)
    if name == "none":
        if given:
            raise UserError(f"--perturbation_options={options} has no effect without --perturbation.")
        return None
    return with_own_options("perturbation", name, PERTURBATIONS[name], given)
