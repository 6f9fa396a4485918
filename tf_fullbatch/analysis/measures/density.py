"""--measure=density: how the eigenvalues of the Hessian are spread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity
from tf_fullbatch.settings.fields import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class DensitySettings(MeasureSettings):
    """Settings of stochastic Lanczos quadrature of the Hessian, `analysis.density`, of which figures are taken.

    It costs probes x steps products of the Hessian: 2 gradient evaluations per sample each.
    """

    summary: ClassVar[str] = (
        "the spread of the Hessian's eigenvalues by Lanczos quadrature, 320 gradient evaluations per sample"
    )
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "largest_node": Quantity("Largest Ritz value of all probes; the largest eigenvalue is no smaller."),
        "smallest_node": Quantity("Smallest Ritz value of all probes; the smallest eigenvalue is no larger."),
        "mean": Quantity("Mean eigenvalue, tr H / parameters."),
        "mean_standard_error": Quantity("Standard error of the mean over probes; nan of a single one."),
        "root_mean_square": Quantity("Of all eigenvalues, sqrt(tr H^2 / parameters)."),
        "negative_mass": Quantity("Negative curvature's share of all, sum_(l<0) |l| / sum |l|, about."),
        "effective_rank": Quantity("exp of the entropy of |l| / sum |l| (Roy and Vetterli 2007), about."),
    }
    needs_second_derivatives: ClassVar[bool] = True

    probes: int = setting(4, "Random probes.", minimum=1)
    steps: int = setting(
        40, "Lanczos steps of each probe, one product and one vector in memory each.", minimum=1
    )

    def build(self) -> "DensityMeasure":
        """The measure."""
        return DensityMeasure(self.probes, self.steps)


class DensityMeasure(Measure):
    """Figures of the spectral density; new probes at each moment.

    Args:
        probes: Random vectors.
        steps: Lanczos steps of each.
    """

    def __init__(self, probes: int, steps: int):
        self._probes = probes
        self._steps = steps

    def figures(self, moment: Moment) -> Sequence[Figure]:
        """See `Measure.figures`."""
        import numpy as np

        from tf_fullbatch.analysis.density import density

        found = density(moment.objective.linear_operator(), self._probes, self._steps, moment.seed)
        mean = found.moment(1)
        return [
            Figure("largest_node", float(found.nodes.max())),
            Figure("smallest_node", float(found.nodes.min())),
            Figure("mean", mean.value),
            Figure("mean_standard_error", mean.standard_error),
            Figure("root_mean_square", float(np.sqrt(found.moment(2).value))),
            Figure("negative_mass", found.negative_mass()),
            Figure("effective_rank", found.effective_rank()),
        ]
