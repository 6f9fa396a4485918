"""--measure=grand: norms of single samples' loss gradients, by which samples are ranked."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity
from tf_fullbatch.analysis.measures.summary import summary_figures, summary_quantities

AT_INITIALISATION = (
    "GraNd at initialisation does not reproduce: it follows the norm of the input (Kirsch 2023, arXiv 2303.14753); "
    "measure it some epochs into training."
)
"""What is said once where it is measured before the first update."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GrandSettings(MeasureSettings):
    """Settings of GraNd (Paul et al. 2021, arXiv 2107.07075).

    It costs one gradient evaluation per sample, in micro-batches of one, which are slow.
    """

    summary: ClassVar[str] = (
        "norms of single samples' loss gradients, 1 gradient evaluation per sample, one by one"
    )
    quantities: ClassVar[Mapping[str, Quantity]] = summary_quantities(
        "grand",
        "|grad l_i|_2 of each sample's loss, without weights and regularizers, the network in inference; of this run's "
        "network, where the published score is a mean over ten. At initialisation it does not reproduce (Kirsch 2023).",
    )
    in_inference: ClassVar[bool] = True

    def build(self) -> Measure:
        """The measure."""
        return GrandMeasure()


class GrandMeasure(Measure):
    """Sums up GraNd, and warns once where nothing is trained yet."""

    def __init__(self) -> None:
        self._warned = False

    def figures(self, moment: Moment) -> list[Figure]:
        """See `Measure.figures`."""
        from tf_fullbatch.analysis.grand import grand_scores

        if moment.step == 0 and not self._warned:
            self._warned = True
            warnings.warn(AT_INITIALISATION, stacklevel=2)
        return summary_figures("grand", grand_scores(moment.by_samples()))
