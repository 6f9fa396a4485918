"""What the report says in words: what the runs have in common, and how its figures are to be read."""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from tf_fullbatch.display.text import counted, listed
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.report import tables
from tf_fullbatch.report.arms import Comparison, devices
from tf_fullbatch.report.differences import ONE_SEED, paired_differences
from tf_fullbatch.report.quantities import ACCURACY, MINUS
from tf_fullbatch.report.ranking import FEW
from tf_fullbatch.report.run_records import Status
from tf_fullbatch.report.sweeps import swept_in
from tf_fullbatch.studies.sweeps import end_of_grid

_FEW = 8


def facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """(name, text) of what is to be known about all runs together."""
    runs = comparison.runs
    completed = sum(run.completed for run in runs)
    early = Counter(run.ended_by for run in runs if run.ended_by)
    how = f" ({', '.join(f'{count} {words}' for words, count in early.items())})" if early else ""
    yield "Runs", f"{completed} of {len(runs)} completed{how}, in {counted(len(comparison.arms), 'arm')}"
    dates = _dates(comparison)
    if dates:
        yield "Files of", dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    yield "Device", "; ".join(devices(runs)) or "not recorded"
    packages: dict[str, set[str]] = {}
    for run in runs:
        for package, version in run.summary.get("versions", {}).items():
            packages.setdefault(str(package), set()).add(str(version or "unknown"))
    versions = [f"{package} {', '.join(sorted(found))}" for package, found in packages.items()]
    yield "Versions", "; ".join(versions) or "not recorded"
    revisions = {str(run.summary["git_revision"]) for run in runs if run.summary.get("git_revision")}
    if revisions:
        yield "Revision", ", ".join(sorted(revisions))
    yield "All arms", tables.shared_settings(comparison)
    yield "Read from", ", ".join(map(str, comparison.sources))


def _dates(comparison: Comparison) -> list[str]:
    """The days (UTC) on which records were last written, in order."""
    stamps = []
    for run in comparison.runs:
        folder = RunFolder(run.folder)
        stamps += [path.stat().st_mtime for path in (folder.metrics, folder.summary) if path.exists()]
    return sorted(datetime.fromtimestamp(stamp, UTC).date().isoformat() for stamp in stamps)


def results_notes(comparison: Comparison) -> Iterator[str]:
    """How the table of results is to be read, a few sentences each."""
    several = " and ".join(quantity.name for quantity in comparison.quantities).capitalize()
    yield (
        f"{several}: that of the last evaluation, with the weights as trained; the report chooses nothing by it. "
        "± is the sample standard deviation over completed seeds; a run that is not completed is not averaged."
    )
    if len(comparison.arms) > FEW:
        yield "Arms in the order of their means, the best first, for the eye alone."
    yield from _warnings(comparison)
    yield from _ends_of_grids(comparison)
    yield from _loss_note(comparison)
    yield "Training figures are those of the last pass: samples as augmented, weights before each update."
    yield (
        "Costs are means over completed runs. A gradient evaluation is a forward and backward pass of one sample: 1 "
        "per sample and pass without a penalty, 2 with forward differences or an exact Hessian-vector product (counted "
        "as one more, though it takes the time of about two), 3 with central differences, 1 more for the penalty on "
        "the whole gradient; a forward pass alone counts 1/3."
    )
    if comparison.measured:
        yield "Costs are those of training; what measuring along training cost besides stands with what was measured."
    if comparison.side_by_side > 1:
        yield f"Up to {comparison.side_by_side} runs shared the machine, which their wall times include."
    if len(devices(comparison.runs)) > 1:
        yield "The runs were made on different devices: their wall times do not compare."
    if all(len(arm.completed) <= 1 for arm in comparison.arms):
        yield ONE_SEED


def _loss_note(comparison: Comparison) -> Iterator[str]:
    """What the losses are, where they are not all cross-entropies."""
    started = [arm for arm in comparison.arms if any(run.started for run in arm.runs)]
    without = [
        arm.name for arm in started if not all(run.has_cross_entropy for run in arm.runs if run.started)
    ]
    if not without:
        return
    which = "" if len(without) == len(started) else f" of {listed(without, _FEW)}"
    yield (
        f"Losses{which} are the objective that was trained, label smoothing and regularisation losses included: "
        "their runs recorded no cross-entropy."
    )
    smoothing = {arm.config.values()["label_smoothing"] for arm in started if arm.name in without}
    if len(smoothing) > 1:
        yield "These arms smooth labels differently, which is in their losses: these do not compare."
    others = [pair for pair in paired_differences(comparison) if pair.other_losses]
    if others:
        named = listed([f"{pair.first} {MINUS} {pair.second}" for pair in others], _FEW)
        yield f"No difference of {named}: these arms have different losses, and no cross-entropy is recorded."


def _ends_of_grids(comparison: Comparison) -> Iterator[str]:
    """Of each value that was chosen at an end of what was tried."""
    for arm, trials in comparison.trials:
        for name in swept_in(trials):
            for value in dict.fromkeys(trials[name][trials["chosen"]]):
                which = end_of_grid(name, trials[name], value)
                if which:
                    yield f"{arm}: {name}={value} was chosen, the {which} tried: better ones may lie beyond."


def _warnings(comparison: Comparison) -> Iterator[str]:
    losses = {arm.name: sum(run.status is Status.ENDED for run in arm.runs) for arm in comparison.arms}
    losers = [arm for arm in comparison.arms if losses[arm.name]]
    for arm in losers if len(losers) <= _FEW else ():
        yield (
            f"{arm.name}: {losses[arm.name]} of {counted(len(arm.runs), 'run')} ended early; figures of this arm are "
            "of the others alone, and so flatter it."
        )
    if len(losers) > _FEW:
        yield (
            f"Of {len(losers)} arms runs ended early; figures of these arms are of the others alone, and so flatter "
            f"them: {listed([arm.name for arm in losers], _FEW)}."
        )
    mixed = [
        arm.name
        for arm in comparison.arms
        if len({run.summary.get("git_revision") for run in arm.completed}) > 1
        or len(devices(arm.completed)) > 1
    ]
    if mixed:
        yield f"Of different revisions or devices within an arm (results.csv has each run's): {listed(mixed, _FEW)}."
    if any(arm.split != "test" for arm in comparison.arms):
        yield "Arms marked (validation) have no test split: theirs are the figures of the validation split."
    of_accuracy = [arm for arm in comparison.arms if arm.measured and arm.quantity is ACCURACY]
    counts = [run.evaluated_samples(arm.split) for arm in of_accuracy for run in arm.completed]
    smallest = min((count for count in counts if count), default=0)
    if smallest:
        yield (
            f"± does not cover the choice of test samples: of {smallest:,}, one accuracy has a binomial standard error "
            f"of up to {100 * 0.5 / math.sqrt(smallest):.2f} points, much of it common to all arms."
        )
