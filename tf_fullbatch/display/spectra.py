"""Pictures of spectra: how eigenvalues are spread, and those at the ends that are known one by one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from tf_fullbatch.display.axes import GREY, finish, new_figure

_COLOURS = ("#0072B2", "#D55E00", "#009E73")
_LOWEST = 1e-7
"""Share of the highest density that is still shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """What is known of a matrix's eigenvalues.

    Attributes:
        eigenvalues: `[known]`, at the ends.
        grid: `[points]`, where the density is known; None where it is not.
        density: `[points]`, share of all eigenvalues per unit of eigenvalue.
    """

    eigenvalues: np.ndarray
    grid: np.ndarray | None = None
    density: np.ndarray | None = None


def draw_spectra(spectra: Mapping[str, Spectrum], title: str = "") -> Figure:
    """A panel for each matrix, one below the other, along the same eigenvalues.

    Args:
        spectra: Name of the matrix -> its spectrum.
        title: Shown above.
    """
    figure = new_figure(8, 1.2 + 2.6 * len(spectra))
    panels = figure.subplots(len(spectra), 1, sharex=True, squeeze=False)[:, 0]
    for colour, panel, (name, spectrum) in zip(_COLOURS, panels, spectra.items(), strict=False):
        if spectrum.grid is not None and spectrum.density is not None:
            top = float(spectrum.density.max())
            panel.plot(spectrum.grid, spectrum.density, color=colour, linewidth=1.5, label="density")
            panel.set_yscale("log")
            panel.set_ylim(_LOWEST * top, 3 * top)
        else:
            panel.set_yticks([])
            panel.set_ylim(0, 1)
        panel.vlines(
            spectrum.eigenvalues,
            0,
            0.07,
            transform=panel.get_xaxis_transform(),  # along y in shares of the panel
            color="#000000",
            linewidth=1.6,
            label="eigenvalues at the ends",
        )
        low, high = float(spectrum.eigenvalues.min()), float(spectrum.eigenvalues.max())
        panel.update_datalim([(low, 0.5), (high, 0.5)], updatey=False)
        panel.axvline(0, color=GREY, linewidth=0.8, linestyle=":")
        panel.set_ylabel("Density of eigenvalues" if spectrum.grid is not None else "")
        panel.set_title(name, fontsize=10.5, loc="left")
        finish(panel)
        panel.legend(frameon=False, fontsize=9, loc="upper right")
    panels[-1].set_xlabel("Eigenvalue")
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure
