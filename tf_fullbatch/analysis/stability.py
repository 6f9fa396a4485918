"""Where a method of descent at a constant rate loses its stability: the largest curvature that it bears."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tf_fullbatch.core.trees import Tree


@dataclass(frozen=True, slots=True)
class Stability:
    """The stability of a method at a step.

    Attributes:
        threshold: Largest eigenvalue of the loss's Hessian (or of `P^-1/2 H P^-1/2`, where there is a preconditioner)
            at which iterates on a quadratic do not grow.
        formula: How it comes about, in words for a person: "(2 + 2b) / ((1 + 2b) lr)".
        preconditioner: Tree, the diagonal of P; None for the identity.
    """

    threshold: float
    formula: str
    preconditioner: "Tree | None" = None
