"""A row of the table is run, and every cell compared with what is expected of it."""

from collections.abc import Sequence

from tests.layers.case import EXACT, PENALTIES, Case
from tests.layers.outcome import outcome
from tests.layers.reference import Reference
from tests.layers.table import expected


def faults(case: Case, policies: Sequence[str]) -> list[str]:
    """A line for every cell of the row that is not as the table has it, and for a reference that is wrong."""
    reference = Reference(case)
    lines = reference_faults(case, reference)
    for policy in policies:
        for penalty in PENALTIES:
            found = outcome(case, reference, penalty, policy)
            wanted = expected(case, penalty, policy)
            if found.kind != wanted and (found.kind, wanted) != ("refused", "impossible"):
                lines.append(f"{case.name}, {penalty}, {policy}: {found}, but expected is: {wanted}")
    return lines


def reference_faults(case: Case, reference: Reference) -> list[str]:
    """The double tape by hand is the derivative of the gradient, unless that is why the layer is refused."""
    reasons = {case.refused.get(penalty) for penalty in EXACT}
    if "no second derivative" in reasons:
        if reference.tape_error <= 1e-3:
            return [f"{case.name}: TensorFlow has this second derivative now"]
    elif "python random" not in reasons and reference.tape_error >= 1e-8:
        return [f"{case.name}: the double tape is not the derivative of the gradient"]
    return []
