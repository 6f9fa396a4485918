"""The rows to compare: the runs of studies and of other folders, those that differ by their seed alone together."""

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
from tf_fullbatch.report.run_records import RecordedRun, Status, read_run
from tf_fullbatch.studies.record import FILE_NAME, Published, read_study, run_folder

SPLITS = ("test", "validation")
"""In the order in which they are preferred for the figure of a row."""
_SEED = re.compile(r"[-_/. ]?seed[-_=]?\d+$")


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedRow:
    """Runs that differ by their seed alone.

    Attributes:
        name: Its name, unlike that of every other row.
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
        """A column of metrics.csv at the last step, mean over the completed runs, of which there must be one."""
        return float(np.mean([run.last(column) for run in self.completed]))

    @property
    def mean_gradient_evaluations(self) -> float:
        """Gradient evaluations of a sample in all, mean over the completed runs, of which there must be one."""
        return self.mean_last("samples_seen") * self.config.step.gradient_evaluations

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
        rows: In the order they are shown.
        pairs: Names of rows (a, b) whose difference a - b is asked for.
        waterfalls: Names of rows that each add an ingredient to the one before, one tuple a waterfall.
        problems: What could not be read and belongs to no row, one line each.
        side_by_side: The most runs that shared a machine, as far as studies say.
    """

    title: str
    sources: tuple[Path, ...]
    rows: tuple[ComparedRow, ...]
    pairs: tuple[tuple[str, str], ...]
    waterfalls: tuple[tuple[str, ...], ...]
    problems: tuple[str, ...]
    side_by_side: int = 1

    @property
    def runs(self) -> tuple[RecordedRun, ...]:
        """The runs of all rows."""
        return tuple(run for row in self.rows for run in row.runs)

    def row(self, name: str) -> ComparedRow:
        """The row of a name."""
        return next(row for row in self.rows if row.name == name)

    def missing(self) -> list[str]:
        """What the report lacks and why, one line a row and reason."""
        found: dict[tuple[str, str], list[int | None]] = {}
        for row in self.rows:
            for run in row.runs:
                for reason in filter(None, (run.reason, *run.notes)):
                    found.setdefault((row.name, reason), []).append(run.seed)
        lines = [
            f"{name}, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}: {reason}"
            for (name, reason), seeds in found.items()
        ]
        return lines + list(self.problems)


@dataclass(slots=True)
class _Source:
    """The rows of one study, or of all other folders."""

    title: str
    rows: list[tuple[str, ComparedRow]]
    """Each with the name that is put before its own where that is not unique."""
    pairs: Sequence[tuple[str, str]] = ()
    waterfall: Sequence[str] = ()
    jobs: int = 1


def load(paths: Sequence[str | os.PathLike[str]]) -> Comparison:
    """Reads studies, runs, and folders with runs anywhere below them.

    Args:
        paths: Each a folder with a study.json, with a config.json, or with such folders below.

    Raises:
        UserError: A folder that does not exist or holds no run, or no row can be made of all of them.
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
    seen |= {run.folder.resolve() for source in sources for _, row in source.rows for run in row.runs}
    for given, folder in found:
        if folder.resolve() not in seen:
            seen.add(folder.resolve())
            single.append((_own_name(folder, given), given.resolve().name, read_run(RunFolder(folder))))
    if single:
        sources.append(_grouped(single, problems))
    if not any(source.rows for source in sources):
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
    rows = [
        ComparedRow(
            name=row.name,
            runs=tuple(
                read_run(run_folder(folder, row.name, seed), seed, row.config) for seed in study.seeds
            ),
            config=row.config,
            published=row.published,
        )
        for row in study.rows
    ]
    known = {row.name for row in rows}
    unknown = sorted({name for names in (*study.compare, study.waterfall) for name in names} - known)
    if unknown:
        raise UserError(
            f"{folder / FILE_NAME} is damaged: it compares {', '.join(unknown)}, which it has no row of."
        )
    return _Source(
        study.title,
        [(folder.resolve().name, row) for row in rows],
        study.compare,
        study.waterfall,
        study.jobs,
    )


def _grouped(single: Sequence[tuple[str, str, RecordedRun]], problems: list[str]) -> _Source:
    """Rows of runs whose deciding settings and lengths are equal but for the seed.

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
    rows = []
    for members in groups.values():
        name, prefix, first = members[0]
        runs = sorted((run for _, _, run in members), key=lambda run: run.seed or 0)
        assert first.config is not None
        rows.append((prefix, ComparedRow(name=name, runs=tuple(runs), config=first.config)))
    return _Source("", rows)


def _joined(sources: Sequence[_Source], paths: tuple[Path, ...], problems: Sequence[str]) -> Comparison:
    counts = Counter(row.name for source in sources for _, row in source.rows)
    used: set[str] = set()
    rows: list[ComparedRow] = []
    pairs: list[tuple[str, str]] = []
    waterfalls: list[tuple[str, ...]] = []
    for source in sources:
        names = {}
        for prefix, row in source.rows:
            wanted = row.name if counts[row.name] == 1 else f"{prefix}/{row.name}"
            names[row.name] = _unused(wanted, used)
            rows.append(replace(row, name=names[row.name]))
        pairs += [(names[a], names[b]) for a, b in source.pairs]
        if source.waterfall:
            waterfalls.append(tuple(names[name] for name in source.waterfall))
    if not pairs:
        pairs = [(row.name, rows[0].name) for row in rows[1:]]
    titles = [source.title for source in sources if source.title]
    return Comparison(
        title="; ".join(titles) or "Comparison of runs",
        sources=paths,
        rows=tuple(rows),
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
