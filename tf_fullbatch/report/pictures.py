"""The figures of a report, each with what it shows and how it is to be read."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from tf_fullbatch.report import (
    curve_plots,
    equal_loss_plots,
    figure_notes,
    final_plots,
    gain_plots,
    measured,
    measured_plots,
    memorisation_plots,
    style,
    sweep_plots,
)
from tf_fullbatch.report.arms import Comparison
from tf_fullbatch.report.differences import ONE_SEED, PairedDifference, interval_in_words
from tf_fullbatch.report.drawing import Drawing
from tf_fullbatch.report.quantities import ACCURACY, QUANTITIES
from tf_fullbatch.report.sweeps import Sweep
from tf_fullbatch.report.tables import Table

_NARROW = 11.0
_MEASURED = "Measured along training"
MOST_PAIRS = 30
"""So many paired differences are drawn; the table has all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A figure on the page.

    Attributes:
        name: Of its files in plots/.
        alt: What it shows, for those who do not see it.
        notes: How to read it, a sentence or two each.
        uri: The SVG itself, as a data: URI.
        small: Whether it is not to fill the page.
    """

    name: str
    alt: str
    notes: tuple[str, ...]
    uri: str
    small: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Figures under one heading, and a table where there is one."""

    title: str
    pictures: tuple[Picture, ...]
    table: Table | None = None


class Pictures:
    """Draws the figures of a comparison into a folder.

    Args:
        comparison: The comparison.
        plots: The folder, which is there.
    """

    def __init__(self, comparison: Comparison, plots: Path):
        self._comparison = comparison
        self._plots = plots
        self._drawing = Drawing(comparison)

    def sections(self, sweeps: Sequence[Sweep]) -> list[Section]:
        """All but the paired differences."""
        several = "" if len(self._comparison.waterfalls) < 2 else "s"
        found = (
            ("At the end of training", self._finals()),
            ("Sweeps", self._sweeps(sweeps)),
            ("Learning curves", self._learning_curves()),
            ("Generalisation", self._generalisation()),
            ("At the same training loss", self._at_equal_loss()),
            ("What is memorised", self._memorisation()),
            ("Along training", self._along_training()),
            (_MEASURED, self._measured()),
            (f"The gain{several} of each ingredient", self._waterfalls()),
        )
        tables = {_MEASURED: measured.finals_table(self._comparison)}
        made = [
            Section(title=title, pictures=tuple(pictures), table=tables.get(title))
            for title, pictures in found
        ]
        return [section for section in made if section.pictures]

    def differences(self, differences: Sequence[PairedDifference]) -> list[Picture]:
        """The paired differences, a figure per quantity."""
        counts = [len(pair.differences) for pair in differences if pair.differences]
        pictures = []
        for quantity in QUANTITIES:
            shown = [pair for pair in differences if pair.quantity is quantity and not pair.other_losses]
            if not shown:
                continue
            notes = [
                f"The {quantity.name} of one arm minus that of another with the same seed; "
                f"{'right' if quantity.higher_is_better else 'left'} of 0 the first is better.",
                interval_in_words(counts) if counts else "No pair has a seed that is completed in both arms.",
            ]
            if len(shown) > MOST_PAIRS:
                notes.append(f"The first {MOST_PAIRS} of {len(shown)} pairs; the table has all.")
            alt = f"Paired differences of {quantity.name} over seeds, with intervals where there are several seeds"
            name = "paired_differences" + ("" if quantity is ACCURACY else "_of_loss")
            pictures.append(self._picture(gain_plots.difference_plot(shown[:MOST_PAIRS]), name, alt, notes))
        return pictures

    def _finals(self) -> Iterator[Picture]:
        for quantity in self._comparison.quantities:
            arms = self._comparison.compared_by(quantity)
            many = final_plots.many(arms)
            if len(self._comparison.arms) > 1:
                notes = [
                    f"{quantity.name.capitalize()} at the last evaluation of each arm's completed seeds, with the "
                    "weights as trained."
                ]
                if many:
                    notes.append(
                        "Arms in the order of their means, for the eye alone: nothing is chosen by it."
                    )
                figure = final_plots.ordered_plot(arms) if many else final_plots.final_plot(arms)
                alt = f"{quantity.name.capitalize()} of every arm at the end of training"
                yield self._picture(figure, quantity.name, alt, notes)
            if final_plots.costs_differ(arms):
                notes = [
                    "The same figures against what the runs cost: arms one above the other in the middle panel had "
                    "equal compute. A line joins arms that differ in their length and schedule alone.",
                ]
                alt = f"{quantity.name.capitalize()} of every arm against passes, gradient evaluations and wall time"
                figure = final_plots.cost_plot(self._drawing, quantity)
                yield self._picture(figure, f"{quantity.name}_by_cost", alt, notes)

    def _sweeps(self, sweeps: Sequence[Sweep]) -> Iterator[Picture]:
        for number, sweep in enumerate(sweeps, start=1):
            name = "sweep" if len(sweeps) == 1 else f"sweep_{number}"
            yield self._picture(
                sweep_plots.sweep_plot(sweep), name, sweep.title, figure_notes.sweep_notes(sweep)
            )

    def _learning_curves(self) -> Iterator[Picture]:
        figure = curve_plots.learning_curves(self._drawing)
        alt = "Error and training loss of every arm against passes, gradient evaluations and wall time"
        yield self._picture(figure, "learning_curves", alt, figure_notes.learning_curve_notes(self._drawing))

    def _generalisation(self) -> Iterator[Picture]:
        figure = curve_plots.generalisation(self._drawing)
        alt = "Training error, test loss and the gaps between test and training of every arm against passes"
        yield self._picture(figure, "generalisation", alt, figure_notes.generalisation_notes(self._drawing))

    def _at_equal_loss(self) -> Iterator[Picture]:
        figure = equal_loss_plots.at_equal_loss(self._drawing)
        alt = "Error and mean squared micro-batch gradient norm of every arm against its training loss"
        yield self._picture(figure, "at_equal_loss", alt, figure_notes.equal_loss_notes(self._drawing))

    def _memorisation(self) -> Iterator[Picture]:
        if memorisation_plots.changes_labels(self._drawing):
            figure = memorisation_plots.memorisation(self._drawing)
            alt = "Accuracy on training samples with changed labels, by these and by their own, of every arm"
            yield self._picture(figure, "memorisation", alt, figure_notes.memorisation_notes(self._drawing))

    def _along_training(self) -> Iterator[Picture]:
        figure = curve_plots.along_training(self._drawing)
        alt = "Learning rate, gradient norms, clipped steps and penalty of every arm against passes"
        yield self._picture(figure, "along_training", alt, figure_notes.along_training_notes(self._drawing))

    def _measured(self) -> Iterator[Picture]:
        kinds = measured.shown_kinds(self._comparison)
        if kinds:
            figure = measured_plots.along_measures(self._drawing, kinds)
            alt = f"What every arm measured along training, against passes: {', '.join(map(str, kinds))}"
            yield self._picture(figure, "measured", alt, figure_notes.measured_notes(self._drawing, kinds))

    def _waterfalls(self) -> Iterator[Picture]:
        for number, names in enumerate(self._comparison.waterfalls, start=1):
            arms = [self._comparison.arm(name) for name in names]
            seeds = gain_plots.shared_seeds(arms)
            shown = ", ".join(map(str, seeds))
            if len(seeds) > 1:
                note = (
                    f"Means and gains are over the seeds completed in every arm that has any: {shown}. ± is half the "
                    "width of the gain's 95 % interval over seeds (Student's t)."
                )
            elif seeds:
                note = f"Gains are of seed {shown} alone, the only one completed in every arm that has any. {ONE_SEED}"
            else:
                note = "No seed is completed in every arm that has any: no gains are shown."
            notes = ["Each arm adds an ingredient to the arm above it.", note]
            if any(arm.published for arm in arms):
                notes.append(
                    "Open markers are the published figures, see the sources below the table of results."
                )
            name = "waterfall" if len(self._comparison.waterfalls) == 1 else f"waterfall_{number}"
            alt = f"The figures of {', '.join(names)}, and the gain of each over the one before"
            yield self._picture(gain_plots.waterfall(arms), name, alt, notes)

    def _picture(self, figure: Figure, name: str, alt: str, notes: Sequence[str]) -> Picture:
        style.save(figure, self._plots, name)
        encoded = base64.b64encode((self._plots / f"{name}.svg").read_bytes()).decode()
        uri = f"data:image/svg+xml;base64,{encoded}"
        small = figure.get_figwidth() < _NARROW
        return Picture(name=name, alt=alt, notes=tuple(notes), uri=uri, small=small)
