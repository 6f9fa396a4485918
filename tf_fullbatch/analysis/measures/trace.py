"""--measure=trace: the trace of the Hessian."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity
from tf_fullbatch.settings.fields import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceSettings(MeasureSettings):
    """Settings of `analysis.traces.trace`: 2 gradient evaluations per sample and product."""

    summary: ClassVar[str] = "the Hessian's trace from random probes, 60 gradient evaluations per sample"
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "trace": Quantity("tr H, the sum of all eigenvalues."),
        "standard_error": Quantity("Standard error of the trace over probes."),
    }
    needs_second_derivatives: ClassVar[bool] = True

    method: str = setting(
        "hutchinson",
        "How the trace is estimated; the others gain where eigenvalues decay fast, and keep a third or half as many "
        "vectors in memory as there are products.",
        choices=("hutchinson", "hutch++", "xtrace"),
    )
    products: int = setting(30, "Products of the Hessian with vectors, at most.", minimum=6)

    def build(self) -> "TraceMeasure":
        """The measure."""
        return TraceMeasure(self.method, self.products)


class TraceMeasure(Measure):
    """The trace with its standard error; new probes at each moment.

    Args:
        method: One of `analysis.traces.METHODS`.
        products: Spent each time.
    """

    def __init__(self, method: str, products: int):
        self._method = method
        self._products = products

    def figures(self, moment: Moment) -> Sequence[Figure]:
        """See `Measure.figures`."""
        from tf_fullbatch.analysis.traces import trace

        operator = moment.objective.linear_operator()
        found = trace(operator, self._method, self._products, moment.seed)
        return [Figure("trace", found.value), Figure("standard_error", found.standard_error)]
