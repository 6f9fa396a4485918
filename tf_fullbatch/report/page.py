"""The report of a comparison: report.html, report.md, results.csv and the figures."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from tf_fullbatch.records.files import os_errors_as_user_errors, write_text
from tf_fullbatch.report import accuracy_plots, curve_plots, gain_plots, style, tables, wording
from tf_fullbatch.report.arms import Comparison
from tf_fullbatch.report.differences import ONE_SEED, PairedDifference, interval_in_words, paired_differences

_PLOTS = "plots"


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A figure on the page.

    Attributes:
        name: Of its files in plots/.
        alt: What it shows, for those who do not see it.
        notes: How to read it, a sentence or two each.
        uri: The SVG itself, as a data: URI.
    """

    name: str
    alt: str
    notes: tuple[str, ...]
    uri: str


def write_report(comparison: Comparison, folder: Path) -> list[Path]:
    """Writes the report, each file whole, and returns the paths of those to look at.

    Raises:
        UserError: The folder or a file in it cannot be written.
    """
    with os_errors_as_user_errors(folder):
        (folder / _PLOTS).mkdir(parents=True, exist_ok=True)
        for old in (folder / _PLOTS).glob("waterfall*"):  # of a comparison that had other waterfalls
            old.unlink()
    write_text(folder / "results.csv", tables.results_csv(comparison))
    context = _context(comparison, folder / _PLOTS)
    environment = Environment(
        loader=PackageLoader("tf_fullbatch.report"),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = markdown_text
    names = ("report.html", "report.md")
    for name in names:
        write_text(folder / name, environment.get_template(f"{name}.j2").render(context))
    return [folder / name for name in (*names, "results.csv", _PLOTS)]


def markdown_text(text: str) -> str:
    """Text as a cell or a line of Markdown: nothing in it is read as markup."""
    for mark in "\\`*[]|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())


def _context(comparison: Comparison, plots: Path) -> dict[str, Any]:
    differences = paired_differences(comparison)
    return {
        "title": comparison.title,
        "facts": list(wording.facts(comparison)),
        "results": tables.arms_table(comparison),
        "results_notes": list(wording.results_notes(comparison)),
        "sources": tables.sources_of(comparison),
        "missing": comparison.missing(),
        "accuracies": list(_accuracies(comparison, plots)),
        "curves": _learning_curves(comparison, plots),
        "at_equal_loss": _at_equal_loss(comparison, plots),
        "along": _along_training(comparison, plots),
        "waterfalls": list(_waterfalls(comparison, plots)),
        "differences": tables.differences_table(comparison, differences),
        "difference_picture": _differences(differences, plots) if differences else None,
        "settings": tables.settings_table(comparison),
    }


def _accuracies(comparison: Comparison, plots: Path) -> Iterator[Picture]:
    if len(comparison.arms) > 1:
        notes = (
            "Accuracy at the last evaluation of each arm's completed seeds, with the weights as trained.",
        )
        alt = "Accuracy of every arm at the end of training"
        yield _picture(accuracy_plots.accuracy_plot(comparison.arms), plots, "accuracy", alt, notes)
    if accuracy_plots.costs_differ(comparison.arms):
        notes = (
            "The same accuracies against what the runs cost: arms one above the other in the middle panel had equal "
            "compute. A line joins arms that differ in their length and schedule alone.",
        )
        alt = "Accuracy of every arm against passes, gradient evaluations and wall time"
        yield _picture(accuracy_plots.cost_plot(comparison), plots, "accuracy_by_cost", alt, notes)


def _learning_curves(comparison: Comparison, plots: Path) -> Picture:
    notes = (
        "Above: classification error at the evaluations, with the weights as trained. Below: training loss before "
        "each update, averaged over neighbouring steps where they are many. Lines are means over completed seeds; an "
        "axis is logarithmic where one arm is at least four times as long as another.",
        "For equal compute, compare arms at the same place of the middle column. Before its end a curve is not what a "
        "shorter run would reach, whose learning rate would have decayed by then.",
        "Wall time is that of training, compilation and the evaluations between steps included, loading of the data "
        "not; the parts of a resumed run are added up.",
    )
    alt = "Error and training loss of every arm against passes, gradient evaluations and wall time"
    return _picture(curve_plots.learning_curves(comparison), plots, "learning_curves", alt, notes)


def _at_equal_loss(comparison: Comparison, plots: Path) -> Picture:
    notes = (
        "Arms at the same place of the horizontal axis have the same training loss: the lower error there generalises "
        "better, whatever the fit cost. On the right, the quantity that the penalty is to hold down.",
        "Training loss is the mean over the pass before the evaluation (right: over neighbouring steps), of samples as "
        "augmented and weights before each update, without penalty and weight decay.",
        *_sizes_note(comparison),
    )
    if len({arm.config.values()["label_smoothing"] for arm in comparison.arms}) > 1:
        notes += ("The arms smooth labels differently, which is in their losses: these do not compare.",)
    alt = "Error and mean squared micro-batch gradient norm of every arm against its training loss"
    return _picture(curve_plots.at_equal_loss(comparison), plots, "at_equal_loss", alt, notes)


def _along_training(comparison: Comparison, plots: Path) -> Picture:
    notes = [
        "The gradient norm is that of an update batch's gradient (of SGD: of a mini-batch's), penalty included. The "
        "mean squared micro-batch gradient norm is the quantity the penalty is to hold down; the penalty itself is it "
        "times strength and learning rate / 8 (with the whole gradient's, where that is asked for), and so falls with "
        "the learning rate.",
        "Clipped steps are shown for arms with a clipping threshold, penalties for arms with one.",
    ]
    notes += _sizes_note(comparison)
    alt = "Gradient norm, clipped steps, mean squared micro-batch gradient norm and penalty against passes"
    return _picture(curve_plots.along_training(comparison), plots, "along_training", alt, tuple(notes))


def _sizes_note(comparison: Comparison) -> list[str]:
    sizes = sorted({arm.config.step.micro_batch_size for arm in comparison.arms})
    if len(sizes) == 1:
        return []
    return [
        f"The arms' micro-batches have {', '.join(map(str, sizes))} samples: smaller ones have larger squared norms by "
        "themselves, so compare those of one size."
    ]


def _waterfalls(comparison: Comparison, plots: Path) -> Iterator[Picture]:
    for number, names in enumerate(comparison.waterfalls, start=1):
        arms = [comparison.arm(name) for name in names]
        seeds = gain_plots.shared_seeds(arms)
        shown = ", ".join(map(str, seeds))
        if len(seeds) > 1:
            note = (
                f"Means and gains are over the seeds completed in every arm that has any: {shown}. ± is half the width "
                "of the gain's 95 % interval over seeds (Student's t)."
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
        name = "waterfall" if len(comparison.waterfalls) == 1 else f"waterfall_{number}"
        alt = f"Accuracy of {', '.join(names)}, and the gain of each over the one before"
        yield _picture(gain_plots.waterfall(arms), plots, name, alt, tuple(notes))


def _differences(differences: list[PairedDifference], plots: Path) -> Picture:
    counts = [len(pair.differences) for pair in differences if pair.differences]
    notes = (
        "The accuracy of one arm minus that of another with the same seed; right of 0 the first is better.",
        interval_in_words(counts) if counts else "No pair has a seed that is completed in both arms.",
    )
    alt = "Paired differences of accuracy over seeds, with intervals where there are several seeds"
    return _picture(gain_plots.difference_plot(differences), plots, "paired_differences", alt, notes)


def _picture(figure: Figure, plots: Path, name: str, alt: str, notes: tuple[str, ...]) -> Picture:
    style.save(figure, plots, name)
    encoded = base64.b64encode((plots / f"{name}.svg").read_bytes()).decode()
    return Picture(name=name, alt=alt, notes=notes, uri=f"data:image/svg+xml;base64,{encoded}")
