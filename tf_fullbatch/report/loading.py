"""From folders to arms: the runs of studies and of other folders, those that differ by their seed alone together."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from tf_fullbatch.config.comparing import compared_settings
from tf_fullbatch.config.run import FILE_SETTINGS
from tf_fullbatch.display.text import listed
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.study_file import FILE_NAME, folder_of, read_study
from tf_fullbatch.records.trials_file import read_trials
from tf_fullbatch.report.arms import ComparedArm, Comparison
from tf_fullbatch.report.ranking import BEST, FEW, ranked
from tf_fullbatch.report.run_reading import read_run
from tf_fullbatch.report.run_records import RecordedRun, Status
from tf_fullbatch.settings.part_names import shortened

_MOST_NAMED = 30
_SEED = re.compile(r"[-_/. ]?seed[-_=]?\d+$")


@dataclass(slots=True)
class _Source:
    """The arms of one study, or of all other folders."""

    title: str
    arms: list[tuple[str, ComparedArm]]
    """Each with the name that is put before its own where that is not unique."""
    pairs: Sequence[tuple[str, str]] = ()
    waterfall: Sequence[str] = ()
    jobs: int = 1
    trials: Sequence[tuple[str, pd.DataFrame]] = ()
    """Each with the arm's own name."""


def load(paths: Sequence[str | os.PathLike[str]], pairs: Sequence[str] = ()) -> Comparison:
    """Reads studies, runs, and folders with runs anywhere below them.

    Args:
        paths: Each a folder with a study.json, with a config.json, or with such folders below.
        pairs: Pairs of arms to compare beside those of the studies, each as "A,B".

    Raises:
        UserError: A folder that does not exist or holds no run, no arm can be made of all of them, or a pair of which
            there is no such arm.
    """
    sources: list[_Source] = []
    single: list[tuple[str, str, RecordedRun]] = []
    problems: list[str] = []
    found = [(given, folder) for given in map(Path, paths) for folder in _found(given)]
    seen: set[Path] = set()
    for _, folder in found:
        if (folder / FILE_NAME).exists() and folder.resolve() not in seen:
            seen.add(folder.resolve())
            try:
                sources.append(_study_source(folder))
            except UserError as error:
                problems.append(str(error))
    seen |= {run.folder.resolve() for source in sources for _, arm in source.arms for run in arm.runs}
    for given, folder in found:
        if folder.resolve() not in seen:
            seen.add(folder.resolve())
            single.append((_own_name(folder, given), given.resolve().name, read_run(RunFolder(folder))))
    if single:
        sources.append(_grouped(single, problems))
    if not any(source.arms for source in sources):
        raise UserError(f"nothing to report: {'; '.join(problems)}")
    return _joined(sources, tuple(map(Path, paths)), problems, pairs)


def _found(path: Path) -> Iterator[Path]:
    """The folders of studies and runs in a folder, itself included, but not those within runs and studies."""
    accepted = "give the folder of a study (study.json), of a run (config.json), or one that holds runs"
    if not path.is_dir():
        what = "it is a file" if path.exists() else "no such folder"
        raise UserError(f"{path}: {what}; {accepted}.")
    empty = True
    walked: set[str] = set()
    for folder, below, files in os.walk(path, followlinks=True):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if os.path.realpath(folder) in walked:  # a link leads back
            below.clear()
            continue
        walked.add(os.path.realpath(folder))
        if not {FILE_NAME, "config.json", "metrics.csv"}.isdisjoint(files):
            below.clear()
            empty = False
            yield Path(folder)
    if empty:
        raise UserError(f"{path}: no run and no study there or anywhere below; {accepted}.")


def _own_name(folder: Path, given: Path) -> str:
    """A run's folder as seen from what was given, without the seed."""
    relative = folder.relative_to(given).as_posix()
    name = folder.resolve().name if relative == "." else relative
    return _SEED.sub("", name) or folder.resolve().parent.name


def _study_source(folder: Path) -> _Source:
    study = read_study(folder)
    arms = [
        ComparedArm(
            name=arm.name,
            runs=_of_one_version(
                [read_run(folder_of(folder, arm.name, seed), seed, arm.config) for seed in study.seeds]
            ),
            config=arm.config,
            published=arm.published,
        )
        for arm in study.arms
    ]
    known = {arm.name for arm in arms}
    unknown = sorted({name for names in (*study.compare, study.waterfall) for name in names} - known)
    if unknown:
        raise UserError(
            f"{folder / FILE_NAME} is damaged: it compares {', '.join(unknown)}, which it has no arm of."
        )
    return _Source(
        study.title,
        [(folder.resolve().name, arm) for arm in arms],
        study.compare,
        study.waterfall,
        study.jobs,
        [(str(name), lines) for name, lines in read_trials(folder).groupby("arm", sort=False)],
    )


def _of_one_version(runs: Sequence[RecordedRun]) -> tuple[RecordedRun, ...]:
    """An arm's runs, those left out whose files of the user are others than most runs', the first of equally many."""
    counts = Counter(_hashes_text(run) for run in runs if run.config is not None)
    most = max(counts, key=lambda text: counts[text], default="")
    kept = next((run for run in runs if run.config is not None and _hashes_text(run) == most), None)
    return tuple(run if run.config is None or kept is None else _left_out(run, kept) for run in runs)


def _left_out(run: RecordedRun, kept: RecordedRun) -> RecordedRun:
    """A run, left out where its files are not those of the one that is kept."""
    assert run.config is not None
    values = run.config.values()
    others = [
        shortened(values[name])
        for name in FILE_SETTINGS
        if run.file_hashes.get(name) != kept.file_hashes.get(name)
    ]
    if not others:
        return run
    reason = f"uses another version of {', '.join(others)} than the other runs of its arm"
    return RecordedRun(folder=run.folder, seed=run.seed, status=Status.LEFT_OUT, reason=reason)


def _hashes_text(run: RecordedRun) -> str:
    return json.dumps(run.file_hashes, sort_keys=True)


def _grouped(single: Sequence[tuple[str, str, RecordedRun]], problems: list[str]) -> _Source:
    """Arms of runs whose settings that affect results, files and lengths are equal but for the seed.

    Runs whose folders differ by the seed alone belong together; then the others, until a seed comes twice.
    """
    groups: dict[tuple[str, str], list[tuple[str, str, RecordedRun]]] = {}
    shared_names = Counter(name for name, _, _ in single)
    repeats: Counter[tuple[str, str, int | None]] = Counter()
    for name, prefix, run in single:
        if run.config is None or run.status is Status.LEFT_OUT:
            problems.append(f"{run.folder}: {run.reason}")
            continue
        settings = json.dumps(compared_settings(run.config) | {"seed": None}) + _hashes_text(run)
        family = name if shared_names[name] > 1 else ""
        number = repeats[settings, family, run.seed]
        repeats[settings, family, run.seed] += 1
        groups.setdefault((settings, f"{family}/{number}"), []).append((name, prefix, run))
    arms = []
    for members in groups.values():
        name, prefix, first = members[0]
        runs = sorted((run for _, _, run in members), key=lambda run: run.seed or 0)
        assert first.config is not None
        arms.append((prefix, ComparedArm(name=name, runs=tuple(runs), config=first.config)))
    return _Source("", arms)


def _joined(
    sources: Sequence[_Source], paths: tuple[Path, ...], problems: Sequence[str], asked: Sequence[str]
) -> Comparison:
    counts = Counter(arm.name for source in sources for _, arm in source.arms)
    used: set[str] = set()
    arms: list[ComparedArm] = []
    pairs: list[tuple[str, str]] = []
    waterfalls: list[tuple[str, ...]] = []
    trials: list[tuple[str, pd.DataFrame]] = []
    for source in sources:
        names = {}
        for prefix, arm in source.arms:
            wanted = arm.name if counts[arm.name] == 1 else f"{prefix}/{arm.name}"
            names[arm.name] = _unused(wanted, used)
            arms.append(replace(arm, name=names[arm.name]))
        pairs += [(names[a], names[b]) for a, b in source.pairs]
        trials += [(names[name], lines) for name, lines in source.trials if name in names]
        if source.waterfall:
            waterfalls.append(tuple(names[name] for name in source.waterfall))
    pairs = list(dict.fromkeys([*pairs, *(pair_of(text, [arm.name for arm in arms]) for text in asked)]))
    if not pairs:
        others = arms[1:] if len(arms) <= FEW else [arms[k] for k in ranked(arms)[:BEST]]
        pairs = [(arm.name, arms[0].name) for arm in others if arm is not arms[0]]
    titles = dict.fromkeys(source.title for source in sources)
    return Comparison(
        title="; ".join(titles) if all(titles) else "Comparison of runs",
        sources=paths,
        arms=tuple(arms),
        pairs=tuple(pairs),
        waterfalls=tuple(waterfalls),
        problems=tuple(problems),
        side_by_side=max(source.jobs for source in sources),
        trials=tuple(trials),
    )


def pair_of(text: str, names: Sequence[str]) -> tuple[str, str]:
    """The two arms in "A,B"; names may have commas themselves.

    Raises:
        UserError: It is no pair of these.
    """
    parts = text.split(",")
    splits = [(",".join(parts[:k]).strip(), ",".join(parts[k:]).strip()) for k in range(1, len(parts))]
    for first, second in splits:
        if first in names and second in names and first != second:
            return first, second
    unknown = [name for name in splits[0] if name not in names] if len(splits) == 1 else []
    why = f"there is no arm {unknown[0]!r}" if unknown else "two arms are expected, as A,B"
    raise UserError(f"cannot compare {text!r}: {why}; the arms are {listed(names, _MOST_NAMED)}.")


def _unused(name: str, used: set[str]) -> str:
    """The name, or with the first number that makes it new."""
    numbered = (f"{name} ({number})" for number in range(2, len(used) + 3))
    chosen = next(candidate for candidate in (name, *numbered) if candidate not in used)
    used.add(chosen)
    return chosen
