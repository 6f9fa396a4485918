"""--measure=per_example: norms of the gradients of single samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity
from tf_fullbatch.analysis.measures.summary import summary_figures, summary_quantities

_NAME = "per_example_gradient_norm"


@dataclass(frozen=True, kw_only=True, slots=True)
class PerExampleSettings(MeasureSettings):
    """Settings of the norms of single samples' gradients.

    It costs one gradient evaluation per sample, in micro-batches of one, which are slow.
    """

    summary: ClassVar[str] = (
        "norms of single samples' gradients, 1 gradient evaluation per sample, one by one"
    )
    quantities: ClassVar[Mapping[str, Quantity]] = summary_quantities(
        _NAME, "|g_i| of each sample, with its weight and the regularizers, the network in inference."
    )
    in_inference: ClassVar[bool] = True

    def build(self) -> Measure:
        """The measure."""
        return PerExampleMeasure()


class PerExampleMeasure(Measure):
    """Sums up the norms of single samples' gradients."""

    def figures(self, moment: Moment) -> list[Figure]:
        """See `Measure.figures`."""
        from tf_fullbatch.analysis.per_example import per_example_norms

        return summary_figures(_NAME, per_example_norms(moment.by_samples()))
