"""--measure=sharpness: the largest eigenvalues of the Hessian, beside the curvature that the method bears."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.analysis.measures.base import Figure, Measure, MeasureSettings, Moment, Quantity
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse.linalg import LinearOperator

    from tf_fullbatch.analysis.eigenvalues import Eigenpairs

GROW_ABOVE = 0.75
"""Share of the threshold above which the smallest eigenvalue tracked is no longer the last of interest: 1.5 where 2 is
critical, as in the central flows of Cohen et al. 2024 (arXiv 2410.24206)."""


_TRACKED = "tracked"
_EIGENVALUES = "eigenvalues"


@dataclass(frozen=True, kw_only=True, slots=True)
class SharpnessSettings(MeasureSettings):
    """Settings of `Sharpness`.

    Source: Cohen et al. 2021 (arXiv 2103.00065).
    """

    summary: ClassVar[str] = "largest Hessian eigenvalues and the stability threshold of the method in use"
    needs_second_derivatives: ClassVar[bool] = True
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "eigenvalue": Quantity("The i-th largest eigenvalue of the loss's Hessian.", panel=_EIGENVALUES),
        "residual": Quantity(
            "|Hu - lu| of the i-th eigenpair, as a share of the largest |l| of those tracked.", drawn="not"
        ),
        "converged": Quantity("1 where the i-th residual is within the tolerance, else 0.", drawn="not"),
        "smallest_eigenvalue": Quantity("The i-th smallest eigenvalue of the loss's Hessian."),
        "smallest_residual": Quantity(
            "|Hu - lu| of the i-th smallest eigenpair, as a share of the largest |l| of them.", drawn="not"
        ),
        "smallest_converged": Quantity(
            "1 where the i-th smallest residual is within the tolerance, else 0.", drawn="not"
        ),
        "preconditioned_eigenvalue": Quantity(
            "The largest eigenvalue of P^-1/2 H P^-1/2, P the diagonal that the optimizer divides by.",
            panel=_EIGENVALUES,
        ),
        "penalised_eigenvalue": Quantity(
            "The largest eigenvalue of the penalised loss's Hessian.", panel=_EIGENVALUES
        ),
        "threshold": Quantity(
            "Largest curvature at which the method is stable on a quadratic, at the present rate, decay and clipping.",
            panel=_EIGENVALUES,
            drawn="bound",
        ),
        "ratio": Quantity(
            "What descends (penalised, preconditioned) has as its largest eigenvalue, as a share of the threshold.",
            level=1.0,
        ),
        "gradient_along_top": Quantity(
            "|u . g| / |g|, u the first eigenvector: below 1e-12 descent sits on an unstable manifold, and may pass "
            "the threshold unhindered."
        ),
    }

    k: int = setting(1, "How many of the largest.", minimum=1, maximum=1000)
    smallest: int = setting(0, "How many of the smallest.", minimum=0, maximum=1000)
    grow: bool = setting(True, "Track one more while the last one tracked is near the threshold.")
    most: int = setting(10, "Most of the largest to track where they grow.", minimum=1, maximum=1000)
    tolerance: float = setting(
        1e-3, "Residual, as a share of the eigenvalue, that is converged.", above=0, below=1
    )
    most_products: int | None = setting(
        None,
        "Products of the Hessian after which an eigensolver gives up. Unset: 100 per eigenvalue.",
        minimum=1,
    )

    def build(self) -> "Sharpness":
        """The measure."""
        return Sharpness(self)


class Sharpness(Measure):
    """Eigenvalues of the Hessian of the whole training set's loss, from the vectors of the measurement before."""

    def __init__(self, settings: SharpnessSettings):
        self._settings = settings
        self._k = settings.k
        self._vectors: dict[str, np.ndarray] = {}

    def figures(self, moment: Moment) -> list[Figure]:
        """See `Measure`."""
        operator = moment.objective.linear_operator()
        largest = self._solved("largest", operator, self._k, moment)
        found = _of_each("", largest)
        if self._settings.smallest:
            smallest = self._solved("smallest", operator, self._settings.smallest, moment)
            found += _of_each("smallest_", smallest)
        found.append(Figure("gradient_along_top", self._along_top(largest, moment)))
        top = float(largest.values[0])
        if moment.penalty is not None:
            penalised = moment.objective.linear_operator(penalty=moment.penalty)
            top = float(self._solved("penalised", penalised, 1, moment).values[0])
            found.append(Figure("penalised_eigenvalue", top))
        if moment.stability is not None:
            found += self._beside_threshold(moment, top, float(largest.values[-1]))
        return found

    def _beside_threshold(self, moment: Moment, top: float, last: float) -> list[Figure]:
        """The threshold, and what reaches for it; the next measurement tracks more where all tracked are near."""
        stability, found = moment.stability, []
        assert stability is not None
        if stability.preconditioner is not None:
            top = float(self._solved("preconditioned", preconditioned(moment), 1, moment).values[0])
            found.append(Figure("preconditioned_eigenvalue", top))
        elif self._settings.grow and last > GROW_ABOVE * stability.threshold:
            self._k = min(self._k + 1, max(self._settings.most, self._settings.k))
        ratio = top / stability.threshold if stability.threshold else float("nan")
        return [*found, Figure("threshold", stability.threshold), Figure("ratio", ratio)]

    def _solved(self, name: str, operator: "LinearOperator", k: int, moment: Moment) -> "Eigenpairs":
        import numpy as np

        from tf_fullbatch.analysis.eigenvalues import eigenpairs

        pairs = eigenpairs(
            operator,
            k,
            "smallest" if name == "smallest" else "largest",
            start=self._vectors.get(name),
            tolerance=self._settings.tolerance,
            most_products=self._settings.most_products,
            seed=moment.seed,
        )
        # In the precision in which a checkpoint has them: a resumed run starts from the same.
        self._vectors[name] = pairs.vectors.astype(np.float32)
        return pairs

    def _along_top(self, largest: "Eigenpairs", moment: Moment) -> float:
        import numpy as np

        gradient = np.concatenate([np.ravel(g).astype(np.float64) for g in moment.point().gradient])
        norm = float(np.linalg.norm(gradient))
        return abs(float(largest.vectors[:, 0] @ gradient)) / norm if norm else 0.0

    def state(self) -> "dict[str, np.ndarray]":
        """The eigenvectors found last, and how many of the largest are to be found next."""
        import numpy as np

        return {**self._vectors, _TRACKED: np.asarray([self._k])}

    def restore(self, arrays: "Mapping[str, np.ndarray]") -> None:
        """Takes back `state`; as many are tracked as were, within what the settings say now."""
        self._vectors = {name: array for name, array in arrays.items() if name != _TRACKED}
        if self._settings.grow and _TRACKED in arrays:
            self._k = min(max(self._k, int(arrays[_TRACKED][0])), max(self._settings.most, self._settings.k))


def preconditioned(moment: Moment) -> "LinearOperator":
    """`P^-1/2 H P^-1/2` with the preconditioner of the moment's stability."""
    import numpy as np
    from scipy.sparse.linalg import LinearOperator

    assert moment.stability is not None
    assert moment.stability.preconditioner is not None
    operator = moment.objective.linear_operator()
    diagonal = np.concatenate([np.ravel(p).astype(np.float64) for p in moment.stability.preconditioner])
    scale = 1 / np.sqrt(diagonal)
    return LinearOperator(
        operator.shape,
        matvec=lambda v: scale * (operator @ (scale * np.ravel(v))),
        rmatvec=lambda v: scale * (operator @ (scale * np.ravel(v))),
        dtype=operator.dtype,
    )


def _of_each(prefix: str, pairs: "Eigenpairs") -> list[Figure]:
    names = (("eigenvalue", pairs.values), ("residual", pairs.residuals), ("converged", pairs.converged))
    return [
        Figure(prefix + name, float(value), str(i + 1))
        for name, values in names
        for i, value in enumerate(values)
    ]
