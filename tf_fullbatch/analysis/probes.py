"""Random probes of a matrix, and what their mean says."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number known from random probes.

    Attributes:
        value: The estimate.
        standard_error: Of it, from how far the probes are apart; 0 where it is exact, nan where there is one probe.
        products: Products of the matrix with a vector that were spent.
    """

    value: float
    standard_error: float
    products: int


def mean_of(samples: np.ndarray, products: int) -> Estimate:
    """The mean of samples `[probes]`, with `s / sqrt(probes)`, s their standard deviation (of the sample, n - 1)."""
    count = len(samples)
    error = float(np.std(samples, ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
    return Estimate(float(np.mean(samples)), error, products)


def rademacher(generator: np.random.Generator, size: int) -> np.ndarray:
    """`[size]`, 1 or -1 with equal probability."""
    return 2.0 * generator.integers(0, 2, size) - 1
