"""The plan of a study: its arms and trials with what they cost, and what is done already."""

import time
from collections.abc import Sequence

from tf_fullbatch.display.text import counted, format_count, format_duration, format_table
from tf_fullbatch.records.study_file import Arm
from tf_fullbatch.studies.conduct import StudyConduct
from tf_fullbatch.studies.cost import Cost
from tf_fullbatch.studies.planned_runs import Run
from tf_fullbatch.studies.sweeps import point_text
from tf_fullbatch.studies.timing import calibrated, kind_of, paces_of_finished, seconds_left, side_by_side

_HEADERS = (
    "arm", "learning rate, highest to last", "passes", "samples per pass", "gradient evaluations per sample",
    "samples, all seeds", "gradient evaluations, all seeds", "runs finished",
)  # fmt: skip


def plan_text(conduct: StudyConduct, jobs: int = 1, *, calibrate: bool = False) -> str:
    """The arms with their cost, and what is done already.

    Args:
        conduct: The study.
        jobs: Runs side by side.
        calibrate: Measure how long runs take, where no finished run tells.
    """
    study, runs, trials, results = conduct.study, conduct.runs, conduct.trials, conduct.results()
    sizes = f"{counted(len(study.arms), 'arm')}, seeds {', '.join(map(str, study.seeds))}: {len(runs)} runs"
    if trials:
        sizes += f", after {len(trials)} trials with seed {study.sweep_seed}"
    cells = []
    for arm in study.arms:
        tried = [result for result in results if result.run.arm.name == arm.name]
        if tried:
            done = sum(result.ended for result in tried)
            cells.append(_row(f"{arm.name}: {len(tried)} trials", [result.run for result in tried], done))
        own = [run for run in runs if run.arm.name == arm.name]
        cells.append(_row(arm.name, own, sum(run.is_finished() for run in own)))
    lines = [study.title, sizes, "", format_table(_HEADERS, cells, "<" + ">" * 7), ""]
    lines += [_sweep_text(arm, conduct) for arm in study.arms if arm.sweep]
    costs = [run.cost for run in (*runs, *trials)]
    totals = [cost.total for cost in costs if cost.total is not None]
    if len(totals) == len(costs):
        least = "at least " if any(cost.is_open for cost in costs) else ""
        why = "; methods that search ask for as many as they need" if least else ""
        lines.append(f"In all {least}{format_count(sum(totals))} gradient evaluations of a sample{why}.")
    else:
        lines.append("The size of a data set is known once it is prepared.")
    lines.append(_time_text(conduct, jobs, calibrate))
    return "\n".join(lines)


def _row(name: str, runs: Sequence[Run], done: int) -> list[object]:
    """What runs of one arm cost together; figures that differ from trial to trial as a range."""
    costs = [run.cost for run in runs]
    return [
        name, _span([_rates(run) for run in runs]), _span([f"{cost.passes:,}" for cost in costs]),
        _span([None if cost.training_samples is None else f"{cost.training_samples:,}" for cost in costs]),
        _span([_per_pass(cost) for cost in costs]), _sum([cost.samples for cost in costs]),
        _sum([cost.total for cost in costs]), f"{done} of {len(runs)}",
    ]  # fmt: skip


def _per_pass(cost: Cost) -> str:
    return f"{cost.gradient_evaluations} or more" if cost.asks else str(cost.gradient_evaluations)


def _sweep_text(arm: Arm, conduct: StudyConduct) -> str:
    """What is tried of an arm, and what is chosen where all trials have ended."""
    grid = " x ".join(f"{axis.setting}={','.join(axis.values)}" for axis in arm.sweep)
    results = [result for result in conduct.results() if result.run.arm.name == arm.name]
    best = conduct.choices()[arm.name].best
    if best is None or not all(result.ended for result in results):
        return f"{arm.name} tries {grid}; its runs are shown with what they have now."
    return f"{arm.name} tried {grid}, and validation chose {point_text(best.run.point)}."


def _time_text(conduct: StudyConduct, jobs: int, calibrate: bool) -> str:
    """How long what is left takes, as far as that is known."""
    trials = [result.run for result in conduct.results() if not result.ended]
    runs = [run for run in conduct.runs if not run.is_finished()]
    if not (trials or runs):
        return "Nothing is left to be done."
    paces = paces_of_finished([*conduct.runs, *conduct.trials])
    kinds = {kind_of(run): run for run in reversed((*trials, *runs))}
    unknown = [run for kind, run in reversed(kinds.items()) if kind not in paces]
    whence = ["finished runs"] if paces else []
    if unknown and calibrate:
        begun = time.monotonic()
        paces |= calibrated(unknown, jobs)
        spent = format_duration(time.monotonic() - begun)
        whence.append(f"some seconds of {counted(len(unknown), 'kind')} of run, measured here in {spent}")
    phases = [[seconds_left(run, paces) for run in phase] for phase in (trials, runs)]
    known = [[seconds for seconds in phase if seconds is not None] for phase in phases]
    lacking = len(trials) + len(runs) - sum(map(len, known))
    hint = (
        "no step within two minutes" if calibrate else "--calibrate measures a few steps of each kind of run"
    )
    if not any(known):
        return f"Time: not known before a run is finished; {hint}."
    total = format_duration(sum(side_by_side(phase, jobs) for phase in known))
    what = f"the {counted(len(runs), 'run')} left"
    if trials:
        what = f"the {counted(len(trials), 'trial')} and {counted(len(runs), 'run')} left"
    without = f"; of {lacking} of them it is not known, {hint}" if lacking else ""
    return (
        f"Time: about {total} for {what}, {jobs} at a time (estimated from {' and '.join(whence)}{without})."
    )


def _span(texts: Sequence[str | None]) -> str | None:
    """What all have in common, or "various"."""
    different = dict.fromkeys(texts)
    return "various" if len(different) > 1 else next(iter(different))


def _sum(counts: Sequence[int | None]) -> str | None:
    known = [count for count in counts if count is not None]
    return format_count(sum(known)) if len(known) == len(counts) else None


def _rates(run: Run) -> str | None:
    """The highest learning rate of a run and its last, which tells whether a shortened schedule still decays."""
    config, passes = run.config, run.cost.passes
    update_batch = config.optimizer.batch_size or run.cost.training_samples
    if update_batch is None and config.optimizer.learning_rate_scaling == "none":
        update_batch = 1  # it does not matter
    if update_batch is None:
        return None
    rates = config.learning_rates(update_batch)
    highest = max(rates.rate_at_epoch(epoch) for epoch in range(passes))
    return f"{highest:.3g} to {rates.rate_at_epoch(passes - 1):.3g}"
