"""What measures say of a number that every sample has: mean, spread, quantiles, largest."""

from typing import TYPE_CHECKING

from tf_fullbatch.analysis.measures.base import Figure, Quantity

if TYPE_CHECKING:
    import numpy as np

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Which quantiles are given."""


def summary_quantities(name: str, what: str) -> dict[str, Quantity]:
    """The quantities of a summary.

    Args:
        name: What they begin with.
        what: What each sample has, beginning a sentence.
    """
    return {
        f"{name}_mean": Quantity(f"{what} Mean over the samples."),
        f"{name}_standard_deviation": Quantity(
            f"{what} Standard deviation over the samples (denominator N)."
        ),
        f"{name}_quantile": Quantity(f"{what} Quantiles over the samples, each by its share, such as 0.5."),
        f"{name}_max": Quantity(f"{what} Largest of the samples."),
    }


def summary_figures(name: str, values: "np.ndarray") -> list[Figure]:
    """The figures of a summary.

    Args:
        name: What the quantities begin with.
        values: `[samples]`.
    """
    import numpy as np

    quantiles = np.quantile(values, QUANTILES)
    return [
        Figure(f"{name}_mean", float(np.mean(values))),
        Figure(f"{name}_standard_deviation", float(np.std(values))),
        *(Figure(f"{name}_quantile", float(q), f"{p:g}") for p, q in zip(QUANTILES, quantiles, strict=True)),
        Figure(f"{name}_max", float(np.max(values))),
    ]
