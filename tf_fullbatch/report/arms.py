"""The arms to compare, and everything that a report is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tf_fullbatch.config.run import FILE_SETTINGS, Config
from tf_fullbatch.records.study_file import Published
from tf_fullbatch.report.quantities import QUANTITIES, Quantity
from tf_fullbatch.report.run_records import RecordedRun

SPLITS = ("test", "validation")
"""In the order in which they are preferred for the figure of an arm."""


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
    def file_hashes(self) -> Mapping[str, str]:
        """Setting -> SHA-256 of the user's file or object that it names; its runs share them."""
        return next((run.file_hashes for run in self.runs if run.file_hashes), {})

    @property
    def passes(self) -> int:
        """Passes over the training set that a run has at its end."""
        return self.config.total_epochs

    @property
    def figure(self) -> tuple[Quantity, str]:
        """What it is compared by: accuracy, or the loss where no run has one; of the test split, else of validation."""
        kinds = [(quantity, split) for quantity in QUANTITIES for split in SPLITS]
        return next(
            (kind for kind in kinds if any(run.final(*kind) is not None for run in self.runs)), kinds[0]
        )

    @property
    def measured(self) -> bool:
        """Whether any run has a figure."""
        return any(run.final(*self.figure) is not None for run in self.runs)

    @property
    def quantity(self) -> Quantity:
        """What it is compared by."""
        return self.figure[0]

    @property
    def split(self) -> str:
        """The samples its figure is of: test, or validation where no run evaluated a test split."""
        return self.figure[1]

    def mean_last(self, column: str) -> float:
        """A column of `RecordedRun.metrics` at the last step, mean over the completed runs: there must be one."""
        return float(np.mean([run.last(column) for run in self.completed]))

    @property
    def gradient_evaluations_per_sample(self) -> float:
        """Those the completed runs spent per sample seen, their mean; those of the settings where there is none."""
        if not self.completed:
            return self.config.step.gradient_evaluations
        return float(np.mean([run.last("spent") / run.last("samples_seen") for run in self.completed]))

    def finals(self, quantity: Quantity, split: str, weights: str = "raw") -> dict[int, float]:
        """Seed -> what the last evaluation of a completed run gave, accuracies in percent."""
        found = {run.seed: run.final(quantity, split, weights) for run in self.completed}
        return {seed: value for seed, value in found.items() if seed is not None and value is not None}

    @property
    def devices(self) -> list[str]:
        """What its runs were made on, each once."""
        return devices(self.runs)

    def figures(self) -> dict[int, float]:
        """Seed -> what it is compared by, of the completed runs."""
        return self.finals(*self.figure)


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
        trials: Arm's name -> its lines of trials.csv, of the arms whose settings were chosen by a sweep.
    """

    title: str
    sources: tuple[Path, ...]
    arms: tuple[ComparedArm, ...]
    pairs: tuple[tuple[str, str], ...]
    waterfalls: tuple[tuple[str, ...], ...]
    problems: tuple[str, ...]
    side_by_side: int = 1
    trials: tuple[tuple[str, pd.DataFrame], ...] = ()

    @property
    def runs(self) -> tuple[RecordedRun, ...]:
        """The runs of all arms."""
        return tuple(run for arm in self.arms for run in arm.runs)

    @property
    def measured(self) -> bool:
        """Whether any run measured along training."""
        return any(run.measurements is not None for run in self.runs)

    def arm(self, name: str) -> ComparedArm:
        """The arm of a name."""
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What arms are compared by: accuracy, loss, or some by the one and some by the other."""
        found = {arm.quantity for arm in self.arms if arm.measured}
        return tuple(quantity for quantity in QUANTITIES if quantity in found) or QUANTITIES[:1]

    def compared_by(self, quantity: Quantity) -> list[ComparedArm]:
        """The arms that are compared by it; those without any figure with the first quantity."""
        first = self.quantities[0]
        return [arm for arm in self.arms if (arm.quantity if arm.measured else first) is quantity]

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


def differing_files(arms: Sequence[ComparedArm]) -> list[str]:
    """The settings whose value names files or objects of the user that are not the same in all arms with that value."""
    found = []
    for name in FILE_SETTINGS:
        named = [
            (arm.config.values()[name], arm.file_hashes[name]) for arm in arms if name in arm.file_hashes
        ]
        if len(set(named)) > len({value for value, _ in named}):
            found.append(name)
    return found


def devices(runs: Sequence[RecordedRun]) -> list[str]:
    """What runs were made on, each once."""
    return list(dict.fromkeys(run.summary["device"] for run in runs if run.summary))
