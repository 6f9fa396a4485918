"""--what=flatness: how far the loss rises around the weights, at worst and on average, plain and adaptive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.inspection.base import Figure, Question, drawn_rows
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    from tf_fullbatch.inspection.subject import Subject
    from tf_fullbatch.inspection.work import Work


@dataclass(frozen=True, kw_only=True, slots=True)
class FlatnessQuestion(Question):
    """Sharpness in a ball and under noise, by each of which lengths are weights' own or relative to them.

    Source: `analysis.flatness` names its own. Radii: Foret et al. 2021 (0.05), Kwon et al. 2021 (0.5).
    """

    summary: ClassVar[str] = "rise of the loss in a ball and under noise, plain and relative to the weights"

    rho: float = setting(0.05, "Radius of the ball.", above=0)
    adaptive_rho: float = setting(0.5, "Radius of the ball, relative to each weight.", above=0)
    norm: str = setting("l2", "Norm of the ball.", choices=("l2", "inf"))
    steps: int = setting(20, "Steps of ascent in a ball.", minimum=1)
    noise: float = setting(0.01, "Standard deviation of each weight's noise.", above=0)
    adaptive_noise: float = setting(0.1, "The same, relative to each weight.", above=0)
    draws: int = setting(50, "Pairs of draws of the noise.", minimum=2)
    seed: int = setting(0, "Seed of the draws.", minimum=0)

    def answer(self, subjects: "Sequence[Subject]", work: "Work") -> list[Figure]:
        """See `Question`."""
        from tf_fullbatch.display.estimates import draw_estimates

        (subject,) = subjects
        figures = []
        for adaptive, rho, noise in (
            (False, self.rho, self.noise),
            (True, self.adaptive_rho, self.adaptive_noise),
        ):
            figures.append(self._worst(subject, work, rho, adaptive))
            figures.append(self._average(subject, work, noise, adaptive))
        work.picture("flatness", draw_estimates(drawn_rows(figures), f"Rise of the loss: {subject}"))
        return figures

    def _worst(self, subject: "Subject", work: "Work", rho: float, adaptive: bool) -> Figure:
        from tf_fullbatch.analysis.flatness import worst_case_sharpness

        def climbed() -> Mapping[str, object]:
            found = worst_case_sharpness(
                subject.objective(work.statistics),
                subject.theta,
                rho,
                adaptive=adaptive,
                norm=self.norm,
                steps=self.steps,
                seed=self.seed,
            )
            return {"sharpness": found.sharpness, "rises": found.rises}

        name = "adaptive worst case" if adaptive else "worst case"
        part = work.once(name, climbed)
        one = max(float(part["rises"][0]), 0.0)
        remark = f"after one step {one:.3g}"
        return Figure(name.replace(" ", "_"), float(part["sharpness"]), f"rho {rho:g}", remark=remark)

    def _average(self, subject: "Subject", work: "Work", noise: float, adaptive: bool) -> Figure:
        from tf_fullbatch.analysis.flatness import average_case_sharpness

        def drawn() -> Mapping[str, object]:
            found = average_case_sharpness(
                subject.objective(work.statistics),
                subject.theta,
                noise,
                adaptive=adaptive,
                draws=self.draws,
                seed=self.seed,
            )
            return {
                "sharpness": found.sharpness,
                "standard_error": found.standard_error,
                "rises": found.rises,
            }

        name = "adaptive average case" if adaptive else "average case"
        part = work.once(name, drawn)
        error = float(part["standard_error"])
        return Figure(name.replace(" ", "_"), float(part["sharpness"]), f"noise {noise:g}", error)
