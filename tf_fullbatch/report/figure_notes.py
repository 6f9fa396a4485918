"""How each figure of a report is to be read, a sentence or two per note."""

from collections.abc import Sequence

from tf_fullbatch.analysis.measures.registry import quantity
from tf_fullbatch.display.text import counted, listed
from tf_fullbatch.records.measured import Kind
from tf_fullbatch.report import curve_plots
from tf_fullbatch.report.arms import Comparison
from tf_fullbatch.report.drawing import Drawing
from tf_fullbatch.report.measured import kinds_of
from tf_fullbatch.report.quantities import ACCURACY
from tf_fullbatch.report.sweeps import Sweep

_MOST_NAMED = 12


def learning_curve_notes(drawing: Drawing) -> list[str]:
    """Of `curve_plots.learning_curves`."""
    what = "classification error" if drawing.comparison.quantities[0] is ACCURACY else "the loss"
    notes = [
        f"Above: {what} at the evaluations, with the weights as trained. Below: training loss before each update, "
        "averaged over neighbouring steps where they are many. Lines are means over completed seeds; an axis is "
        "logarithmic where one arm is at least four times as long as another.",
        "For equal compute, compare arms at the same place of the middle column. Before its end a curve is not what a "
        "shorter run would reach, whose learning rate would have decayed by then.",
        "Wall time is that of training, compilation and the evaluations between steps included, "
        f"{'measurements and ' if drawing.comparison.measured else ''}loading of the data not; the parts of a resumed "
        "run are added up.",
    ]
    return notes + _looks_note(drawing)


def generalisation_notes(drawing: Drawing) -> list[str]:
    """Of `curve_plots.generalisation`."""
    accuracies = ACCURACY in drawing.comparison.quantities
    gaps = "Gaps are" if accuracies else "On the right: the gap,"
    notes = [
        f"{gaps} the figure at an evaluation minus that of training over the pass before it: of samples as augmented "
        "and weights before each update, so that augmentation, dropout and fast progress can make a gap negative."
    ]
    wrong = [series.arm.name for series in drawing.series if series.not_finite]
    if wrong:
        notes.append(f"Evaluations whose loss is not finite are left out, of {', '.join(wrong)}.")
    return notes + _looks_note(drawing)


def equal_loss_notes(drawing: Drawing) -> list[str]:
    """Of `equal_loss_plots.at_equal_loss`."""
    return [
        "Arms at the same place of the horizontal axis have the same training loss: the lower figure there generalises "
        "better, whatever the fit cost. On the right, the quantity that the penalty is to hold down.",
        "A line joins the points at which an arm's training loss was lower than at every point before, so it never "
        "turns back; the points in between are small dots, the end of training is a large one.",
        "Training loss is the mean over the pass before the evaluation (right: over neighbouring steps), of samples as "
        "augmented and weights before each update, without penalty and weight decay.",
        *_sizes_note(drawing.comparison),
    ]


def memorisation_notes(drawing: Drawing) -> list[str]:
    """Of `memorisation_plots.memorisation`."""
    return [
        "Training samples whose label was changed, in inference. Above: the share that has the changed label, which is "
        "what was memorised. Below: the share that has the label from before all the same, which is what generalises.",
        "On the left, arms one above the other had equal compute; on the right, equal training loss (the mean over the "
        "pass before the evaluation), so that an arm that has fitted less is not taken for one that memorises less.",
        *_looks_note(drawing),
    ]


def along_training_notes(drawing: Drawing) -> list[str]:
    """Of `curve_plots.along_training`."""
    notes = [
        "The gradient norm is that of an update batch's gradient (of SGD: of a mini-batch's), penalty included. The "
        "mean squared micro-batch gradient norm is the quantity the penalty is to hold down."
    ]
    if curve_plots.penalised(drawing):
        notes.append(
            "The penalty itself is it times strength and learning rate / 8 (with the whole gradient's, where that is "
            "asked for), and so falls with the learning rate; shown for arms with a penalty."
        )
    else:
        notes.append("No arm has a penalty.")
    clips = curve_plots.clipping(drawing)
    notes.append("Clipped steps are shown for arms with a clipping threshold." if clips else "No arm clips.")
    return notes + _sizes_note(drawing.comparison)


def measured_notes(drawing: Drawing, kinds: Sequence[Kind]) -> list[str]:
    """Of `measured_plots.along_measures`."""
    notes = [
        "Figures of the whole training set, of the arms that measured them; measured.csv has all, at every step. The "
        "table has the last ones, means over completed seeds, ± the sample standard deviation; of several eigenvalues "
        "or variables the first."
    ]
    notes += [
        f"{kind}: {quantity(kind.measure, kind.quantity).description}"
        for kind in {(kind.measure, kind.quantity): kind._replace(of="") for kind in kinds}.values()
    ]
    left = [str(kind) for kind in kinds_of(drawing.comparison) if kind not in kinds]
    if left:
        notes.append(f"Not shown, but in measured.csv: {listed(left, _MOST_NAMED)}.")
    if any(run.tells_edge for run in drawing.comparison.runs):
        notes.append(
            "At the edge of stability, in the table: the mean of sharpness over its threshold while it stays between "
            "0.9 and 1.15 over at least 200 steps in which the loss also rises, with its 95 % interval (of one seed by "
            "batch means, of several over seeds, Student's t), and the first step there. Full-batch runs alone."
        )
    return notes


def sweep_notes(sweep: Sweep) -> list[str]:
    """Of `sweep_plots.sweep_plot`."""
    counts = sorted({len(figures) for figures in sweep.figures.values()})
    seeds = (
        counted(counts[0], "completed seed")
        if len(counts) == 1
        else f"{counts[0]} to {counts[-1]} completed seeds"
    )
    shown = f"the mean over {seeds}" if counts[-1] > 1 else "of one seed"
    what = "an arm" if sweep.arm is None else f"a setting that {sweep.arm} was tried with"
    notes = [f"Each {'cell' if len(sweep.settings) == 2 else 'point'} is {what}, {shown}."]
    if sweep.chosen:
        notes.append("Framed is what was chosen by these figures of the validation samples.")
    elif sweep.arm is None:
        notes.append("A map to look at: nothing is chosen by it.")
    if any(not len(figures) for figures in sweep.figures.values()):
        notes.append("Where there is no number, no run is completed.")
    return notes


def _looks_note(drawing: Drawing) -> list[str]:
    if not drawing.many:
        return []
    return [
        f"Coloured are the {len(drawing.best)} arms with the best means at the end of training, for the eye alone; the "
        "others are grey lines, without their ranges."
    ]


def _sizes_note(comparison: Comparison) -> list[str]:
    sizes = sorted({arm.config.step.micro_batch_size for arm in comparison.arms})
    if len(sizes) == 1:
        return []
    return [
        f"The arms' micro-batches have {_spelled(sizes)} samples: smaller ones have larger squared norms by "
        "themselves, so compare those of one size."
    ]


def _spelled(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes)) if len(sizes) <= 8 else f"{sizes[0]} to {sizes[-1]}"
