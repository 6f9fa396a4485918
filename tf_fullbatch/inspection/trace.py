"""--what=trace: the trace of Hessian and Gauss-Newton matrix, whole and by variable, with standard errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection.base import Figure, Question, drawn_rows
from tf_fullbatch.inspection.blocks import blocks_of
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

    from tf_fullbatch.inspection.subject import Subject
    from tf_fullbatch.inspection.work import Work

_BLOCKS = "--what_options=trace.blocks"


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceQuestion(Question):
    """The trace, the sum of all eigenvalues. Source: `analysis.traces` names its own."""

    summary: ClassVar[str] = "trace of Hessian and Gauss-Newton matrix, with standard errors"

    method: str = setting("hutchinson", "How it is estimated.", choices=("hutchinson", "hutch++", "xtrace"))
    products: int = setting(
        100, "Products with vectors per trace; as many as parameters make it exact.", minimum=2
    )
    ggn: bool = setting(True, "The Gauss-Newton matrix too.")
    blocks: str | None = setting(
        None,
        "Blocks of the Hessian too, by the names of their variables: 'each' for every variable, or parts of names "
        "between plus signs, conv+head.",
    )
    seed: int = setting(0, "Seed of the probes.", minimum=0)

    def check(self, subjects: "Sequence[Subject]") -> None:
        """See `Question`."""
        from tf_fullbatch.analysis.traces import METHODS

        (subject,) = subjects
        least = METHODS[self.method][1]
        if self.products < min(least, subject.parameters):
            raise UserError(
                f"--what_options=trace.products={self.products}: {self.method} takes at least {least}."
            )
        blocks_of(subject.variables, self.blocks, _BLOCKS)
        subject.refuse_inexact_products()

    def answer(self, subjects: "Sequence[Subject]", work: "Work") -> list[Figure]:
        """See `Question`."""
        from tf_fullbatch.display.estimates import draw_estimates

        (subject,) = subjects
        objective = subject.objective(work.statistics)
        operators = {"hessian": objective.linear_operator()}
        if self.ggn:
            operators["ggn"] = objective.linear_operator(curvature="ggn")
        for name, block in blocks_of(subject.variables, self.blocks, _BLOCKS).items():
            operators[f"block {name}"] = objective.linear_operator(variables=block)
        figures = [self._figure(name, operator, work) for name, operator in operators.items()]
        work.picture("trace", draw_estimates(drawn_rows(figures), f"Trace: {subject}"))
        return figures

    def _figure(self, name: str, operator: "LinearOperator", work: "Work") -> Figure:
        from tf_fullbatch.analysis.traces import trace

        def estimated() -> Mapping[str, object]:
            watched = work.watched(operator, f"trace of {name}")
            found = trace(watched, self.method, min(self.products, operator.shape[0]), self.seed)
            return {"value": found.value, "standard_error": found.standard_error}

        part = work.once(name, estimated)
        error = float(part["standard_error"])
        return Figure("trace", float(part["value"]), name, error, "" if error else "exact")
