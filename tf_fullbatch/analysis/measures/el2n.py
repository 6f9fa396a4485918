"""--measure=el2n: how far the samples' probabilities are from their labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity
from tf_fullbatch.analysis.measures.summary import summary_figures, summary_quantities


@dataclass(frozen=True, kw_only=True, slots=True)
class El2nSettings(MeasureSettings):
    """Settings of EL2N (Paul et al. 2021, arXiv 2107.07075).

    It costs a third of a gradient evaluation per sample, in micro-batches of one, which are slow.
    """

    summary: ClassVar[str] = (
        "errors of single samples' probabilities, 1/3 gradient evaluation per sample, one by one"
    )
    quantities: ClassVar[Mapping[str, Quantity]] = summary_quantities(
        "el2n",
        "|softmax(outputs) - onehot|_2 of each sample, the network in inference; of this run's network, where the "
        "published score is a mean over ten.",
    )
    in_inference: ClassVar[bool] = True

    def build(self) -> Measure:
        """The measure."""
        return El2nMeasure()


class El2nMeasure(Measure):
    """Sums up EL2N."""

    def figures(self, moment: Moment) -> list[Figure]:
        """See `Measure.figures`."""
        from tf_fullbatch.analysis.el2n import el2n_scores

        return summary_figures("el2n", el2n_scores(moment.by_samples()))
