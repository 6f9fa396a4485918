"""The arms to compare: the runs of studies and of other folders, those that differ by their seed alone together."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tf_fullbatch.config.run import Config, compared_settings
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.study_file import FILE_NAME, Published, folder_of, read_study
from tf_fullbatch.report.run_records import RecordedRun, Status, read_run

SPLITS = ("test", "validation")
"""In the order in which they are preferred for the figure of an arm."""
_SEED = re.compile(r"[-_/. ]?seed[-_=]?\d+$")


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedArm:
    """Runs that differ by their seed alone.

    Attributes:
        name: Its name, unlike that of every other arm.
        runs: In the order of the seeds asked for; folders that were never made included.
        config: Its settings; the seed in them means nothing.
        published: The figure to compare with; None where there is none.
    """

    name: str
    runs: tuple[RecordedRun, ...]
    config: Config
    published: Published | None = None

    @property
    def completed(self) -> tuple[RecordedRun, ...]:
        """The runs whose figures may be averaged."""
        return tuple(run for run in self.runs if run.completed)

    @property
    def split(self) -> str:
        """The samples its accuracy is of: test, or validation where no run evaluated a test split."""
        measured = [s for s in SPLITS if any(run.accuracy(s) is not None for run in self.runs)]
        return measured[0] if measured else SPLITS[0]

    def mean_last(self, column: str) -> float:
        """A column of `RecordedRun.metrics` at the last step, mean over the completed runs: there must be one."""
        return float(np.mean([run.last(column) for run in self.completed]))

    @property
    def gradient_evaluations_per_sample(self) -> float:
        """Those the completed runs spent per sample seen, their mean; those of the settings where there is none."""
        if not self.completed:
            return self.config.step.gradient_evaluations
        return float(np.mean([run.last("spent") / run.last("samples_seen") for run in self.completed]))

    def accuracies(self, split: str, weights: str = "raw") -> dict[int, float]:
        """Seed -> accuracy in percent at the end of training, of the completed runs."""
        found = {run.seed: run.accuracy(split, weights) for run in self.completed}
        return {seed: value for seed, value in found.items() if seed is not None and value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Everything a report is made from.

    Attributes:
        title: A line for people.
        sources: The folders given.
        arms: In the order they are shown.
        pairs: Names of arms (a, b) whose difference a - b is asked for.
        waterfalls: Names of arms that each add an ingredient to the one before, one tuple per waterfall.
        problems: What could not be read and belongs to no arm, one line each.
        side_by_side: The most runs that shared a machine, as far as studies say.
    """

    title: str
    sources: tuple[Path, ...]
    arms: tuple[ComparedArm, ...]
    pairs: tuple[tuple[str, str], ...]
    waterfalls: tuple[tuple[str, ...], ...]
    problems: tuple[str, ...]
    side_by_side: int = 1

    @property
    def runs(self) -> tuple[RecordedRun, ...]:
        """The runs of all arms."""
        return tuple(run for arm in self.arms for run in arm.runs)

    def arm(self, name: str) -> ComparedArm:
        """The arm of a name."""
        return next(arm for arm in self.arms if arm.name == name)

    def missing(self) -> list[str]:
        """What the report lacks and why, one line per arm and reason."""
        found: dict[tuple[str, str], list[int | None]] = {}
        for arm in self.arms:
            for run in arm.runs:
                for reason in filter(None, (run.reason, *run.notes)):
                    found.setdefault((arm.name, reason), []).append(run.seed)
        lines = [
            f"{name}, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}: {reason}"
            for (name, reason), seeds in found.items()
        ]
        return lines + list(self.problems)


@dataclass(slots=True)
class _Source:
    """The arms of one study, or of all other folders."""

    title: str
    arms: list[tuple[str, ComparedArm]]
    """Each with the name that is put before its own where that is not unique."""
    pairs: Sequence[tuple[str, str]] = ()
    waterfall: Sequence[str] = ()
    jobs: int = 1


def load(paths: Sequence[str | os.PathLike[str]]) -> Comparison:
    """Reads studies, runs, and folders with runs anywhere below them.

    Args:
        paths: Each a folder with a study.json, with a config.json, or with such folders below.

    Raises:
        UserError: A folder that does not exist or holds no run, or no arm can be made of all of them.
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
    return _joined(sources, tuple(map(Path, paths)), problems)


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
            runs=tuple(read_run(folder_of(folder, arm.name, seed), seed, arm.config) for seed in study.seeds),
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
    )


def _grouped(single: Sequence[tuple[str, str, RecordedRun]], problems: list[str]) -> _Source:
    """Arms of runs whose settings that affect results and lengths are equal but for the seed.

    Runs whose folders differ by the seed alone belong together; then the others, until a seed comes twice.
    """
    groups: dict[tuple[str, str], list[tuple[str, str, RecordedRun]]] = {}
    shared_names = Counter(name for name, _, _ in single)
    repeats: Counter[tuple[str, str, int | None]] = Counter()
    for name, prefix, run in single:
        if run.config is None or run.status is Status.LEFT_OUT:
            problems.append(f"{run.folder}: {run.reason}")
            continue
        settings = json.dumps(compared_settings(run.config) | {"seed": None})
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


def _joined(sources: Sequence[_Source], paths: tuple[Path, ...], problems: Sequence[str]) -> Comparison:
    counts = Counter(arm.name for source in sources for _, arm in source.arms)
    used: set[str] = set()
    arms: list[ComparedArm] = []
    pairs: list[tuple[str, str]] = []
    waterfalls: list[tuple[str, ...]] = []
    for source in sources:
        names = {}
        for prefix, arm in source.arms:
            wanted = arm.name if counts[arm.name] == 1 else f"{prefix}/{arm.name}"
            names[arm.name] = _unused(wanted, used)
            arms.append(replace(arm, name=names[arm.name]))
        pairs += [(names[a], names[b]) for a, b in source.pairs]
        if source.waterfall:
            waterfalls.append(tuple(names[name] for name in source.waterfall))
    if not pairs:
        pairs = [(arm.name, arms[0].name) for arm in arms[1:]]
    titles = [source.title for source in sources if source.title]
    return Comparison(
        title="; ".join(titles) or "Comparison of runs",
        sources=paths,
        arms=tuple(arms),
        pairs=tuple(pairs),
        waterfalls=tuple(waterfalls),
        problems=tuple(problems),
        side_by_side=max(source.jobs for source in sources),
    )


def _unused(name: str, used: set[str]) -> str:
    """The name, or with the first number that makes it new."""
    numbered = (f"{name} ({number})" for number in range(2, len(used) + 3))
    chosen = next(candidate for candidate in (name, *numbered) if candidate not in used)
    used.add(chosen)
    return chosen
