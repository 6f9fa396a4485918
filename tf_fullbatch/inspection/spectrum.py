"""--what=spectrum: eigenvalues at both ends, their density, and those of blocks of the matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.inspection.base import Figure, Question, refuse_more_than
from tf_fullbatch.inspection.blocks import blocks_of
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse.linalg import LinearOperator

    from tf_fullbatch.display.spectra import Spectrum
    from tf_fullbatch.inspection.subject import Subject
    from tf_fullbatch.inspection.work import Work

_WORDS = {"hessian": "Hessian", "ggn": "Gauss-Newton matrix"}
_BLOCKS = "--what_options=spectrum.blocks"
_GRID_POINTS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class SpectrumQuestion(Question):
    """The spectrum of the Hessian and, beside it, of the generalised Gauss-Newton matrix (GGN).

    Source: `analysis.eigenvalues` and `analysis.density` name theirs.
    """

    summary: ClassVar[str] = "eigenvalues of Hessian and Gauss-Newton matrix, their density, effective rank"

    k: int = setting(5, "How many of the largest eigenvalues.", minimum=1, maximum=10_000)
    smallest: int = setting(1, "How many of the smallest.", minimum=0, maximum=10_000)
    tolerance: float = setting(
        1e-3,
        "Residual |Hu - lu| as a share of the largest eigenvalue; of the smallest as a share of the span of all.",
        above=0,
        below=1,
    )
    most_products: int | None = setting(
        None, "Products after which an eigensolver gives up. Unset: 100 per eigenvalue.", minimum=1
    )
    probes: int = setting(2, "Random probes of the density; 0 for no density.", minimum=0, maximum=10_000)
    steps: int = setting(60, "Lanczos steps per probe.", minimum=2, maximum=10_000)
    ggn: bool = setting(True, "Look at the Gauss-Newton matrix too.")
    blocks: str | None = setting(
        None,
        "Blocks of the Hessian by the names of their variables: 'each' for every variable, or parts of names between "
        "plus signs, conv+head.",
    )
    seed: int = setting(0, "Seed of the starting vectors and probes.", minimum=0)

    def check(self, subjects: "Sequence[Subject]") -> None:
        """See `Question`."""
        (subject,) = subjects
        refuse_more_than("spectrum", "k", self.k, subject.parameters, "parameters")
        refuse_more_than("spectrum", "smallest", self.smallest, subject.parameters, "parameters")
        blocks_of(subject.variables, self.blocks, _BLOCKS)
        subject.refuse_inexact_products()

    def answer(self, subjects: "Sequence[Subject]", work: "Work") -> list[Figure]:
        """See `Question`."""
        from tf_fullbatch.display.spectra import draw_spectra

        (subject,) = subjects
        objective = subject.objective(work.statistics)
        blocks = blocks_of(subject.variables, self.blocks, _BLOCKS)
        figures: list[Figure] = []
        rows, drawn = _Rows(), {}
        for curvature in ("hessian", "ggn") if self.ggn else ("hessian",):
            operator = objective.linear_operator(curvature=curvature)
            values = self._ends(curvature, operator, work, figures, rows)
            density = self._density(curvature, operator, work, figures) if self.probes else None
            drawn[_WORDS[curvature]] = (values, density)
        for name, variables in blocks.items():
            operator = objective.linear_operator(variables=variables)
            self._ends(f"block {name}", operator, work, figures, rows)
        work.table("eigenvalues", rows.columns)
        spectra = {name: _spectrum(*found) for name, found in drawn.items()}
        if self.probes:
            work.table("density", _columns(spectra))
        work.picture("spectrum", draw_spectra(spectra, f"Spectrum: {subject}"))
        return figures

    def _ends(
        self, name: str, operator: "LinearOperator", work: "Work", figures: list[Figure], rows: "_Rows"
    ) -> "np.ndarray":
        """The eigenvalues at both ends `[found]`.

        The smallest of H are sought as the largest of `l_1 I - H`, l_1 being H's largest: so a residual is measured by
        the spectrum's span, which has a meaning where the smallest eigenvalue is 0 but for rounding.
        """
        import numpy as np

        largest = work.once(f"{name} largest", lambda: self._solved(operator, self.k, name, work))
        parts = {"eigenvalue": largest}
        if self.smallest:
            top = float(largest["values"][0])
            part = work.once(
                f"{name} smallest",
                lambda: self._solved(reflected(operator, top), self.smallest, name, work),
            )
            parts["smallest_eigenvalue"] = part | {"values": top - part["values"]}
        for quantity, part in parts.items():
            columns = (part[key].tolist() for key in ("values", "residuals", "converged"))
            for number, (value, residual, converged) in enumerate(zip(*columns, strict=True), start=1):
                remark = f"residual {residual:.1e}, {'converged' if converged else 'NOT converged'}"
                figures.append(Figure(quantity, value, f"{name} {number}", remark=remark))
                rows.add(name, quantity, number, value, residual, converged)
        return np.concatenate([part["values"] for part in parts.values()])

    def _solved(
        self, operator: "LinearOperator", count: int, name: str, work: "Work"
    ) -> Mapping[str, "np.ndarray"]:
        from tf_fullbatch.analysis.eigenvalues import eigenpairs

        found = eigenpairs(
            work.watched(operator, name),
            min(count, operator.shape[0]),
            tolerance=self.tolerance,
            most_products=self.most_products,
            seed=self.seed,
        )
        return {"values": found.values, "residuals": found.residuals, "converged": found.converged}

    def _density(
        self, name: str, operator: "LinearOperator", work: "Work", figures: list[Figure]
    ) -> "tuple[np.ndarray, np.ndarray]":
        """(grid, density) `[points]`."""
        import numpy as np

        from tf_fullbatch.analysis.density import Density, density

        def probed() -> Mapping[str, object]:
            found = density(work.watched(operator, f"density of {name}"), self.probes, self.steps, self.seed)
            return {"nodes": found.nodes, "weights": found.weights}

        part = work.once(f"{name} density", probed)
        found = Density(part["nodes"], part["weights"], operator.shape[0], self.probes * self.steps)
        mean, square = found.moment(1), found.moment(2)
        figures += [
            Figure("mean_eigenvalue", mean.value, name, mean.standard_error),
            Figure("mean_squared_eigenvalue", square.value, name, square.standard_error),
            Figure("effective_rank", found.effective_rank(), name),
            Figure("share_of_negative_curvature", found.negative_mass(), name),
        ]
        low, high = float(found.nodes.min()), float(found.nodes.max())
        spare = (
            2.5 * (high - low) / max(found.nodes.shape[1] - 1, 1) or 1.0
        )  # 7 widths of the smoothing Gaussian
        grid = np.linspace(low - spare, high + spare, _GRID_POINTS)
        return grid, found.smoothed(grid)


def reflected(operator: "LinearOperator", top: float) -> "LinearOperator":
    """`top I - H`."""
    from scipy.sparse.linalg import LinearOperator

    def product(vector: "np.ndarray") -> "np.ndarray":
        return top * vector - operator @ vector

    return LinearOperator(operator.shape, matvec=product, rmatvec=product, dtype=operator.dtype)


class _Rows:
    """The rows of eigenvalues.csv."""

    def __init__(self) -> None:
        self.columns: dict[str, list] = {
            name: [] for name in ("matrix", "quantity", "number", "value", "residual", "converged")
        }

    def add(self, *cells: object) -> None:
        """Adds a row."""
        for column, cell in zip(self.columns.values(), cells, strict=True):
            column.append(cell)


def _spectrum(values: "np.ndarray", density: "tuple[np.ndarray, np.ndarray] | None") -> "Spectrum":
    from tf_fullbatch.display.spectra import Spectrum

    return Spectrum(values, *(density or (None, None)))


def _columns(spectra: "Mapping[str, Spectrum]") -> Mapping[str, Sequence]:
    found: dict[str, list] = {"matrix": [], "eigenvalue": [], "density": []}
    for name, spectrum in spectra.items():
        assert spectrum.grid is not None
        assert spectrum.density is not None
        found["matrix"] += [name] * len(spectrum.grid)
        found["eigenvalue"] += list(spectrum.grid)
        found["density"] += list(spectrum.density)
    return found
