"""study.json: what a study writes down about itself, from which its report is made."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_fullbatch.config.run import Config
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.files import read_json, write_json
from tf_fullbatch.records.run_folder import RunFolder

FORMAT_VERSION = 1
FILE_NAME = "study.json"
SWEEP_SEED = 1_000_000
"""The seed of a sweep's trials where none is given: one that hardly any study has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A figure from the literature.

    Attributes:
        accuracy: Test accuracy in percent.
        spread: What follows its +-, in percentage points; None where nothing does.
        source: Where it stands.
    """

    accuracy: float
    spread: float | None
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """A setting that a sweep tries values of.

    Attributes:
        setting: Its name.
        values: What is tried, each as its flag takes it, in the order given.
    """

    setting: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One configuration of a study, run with every seed.

    Attributes:
        name: Its name in tables and its folder.
        config: Its settings; `seed` and `output_dir` differ from run to run and mean nothing here. Of a sweep they
            have the values that were chosen; before that, what they had without the sweep.
        published: The figure to compare with; None where there is none.
        sweep: What is chosen by validation before the runs; empty for nothing. Every combination is a trial.
    """

    name: str
    config: Config
    published: Published | None = None
    sweep: tuple[Axis, ...] = ()

    @property
    def swept(self) -> tuple[str, ...]:
        """The settings that a sweep chooses."""
        return tuple(axis.setting for axis in self.sweep)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """Arms, seeds, and what is compared.

    Attributes:
        title: A line for people.
        arms: In the order they are run and shown.
        seeds: Every arm is run with each.
        compare: Pairs of arms (a, b) whose difference a - b, seed by seed, is asked for.
        waterfall: Arms that each add an ingredient to the one before; empty for none.
        jobs: The most runs side by side, which share the machine.
        sweep_seed: The seed of all trials.
        choose_by: The figure of the validation samples that chooses; None for accuracy, or loss where there is none.
    """

    title: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    compare: tuple[tuple[str, str], ...] = ()
    waterfall: tuple[str, ...] = ()
    jobs: int = 1
    sweep_seed: int = SWEEP_SEED
    choose_by: str | None = None


def folder_of(study_dir: str | os.PathLike[str], arm: str, seed: int) -> RunFolder:
    """Where the run of an arm with a seed is kept."""
    return RunFolder(Path(study_dir) / arm / f"seed-{seed}")


def write_study(study_dir: str | os.PathLike[str], study: Study) -> None:
    """Writes study.json, whole or not at all; of an earlier one it keeps the most runs side by side."""
    if (Path(study_dir) / FILE_NAME).exists():
        study = dataclasses.replace(study, jobs=max(study.jobs, read_study(study_dir).jobs))
    content = dataclasses.asdict(study)
    arms = content.pop("arms")
    for written, arm in zip(arms, study.arms, strict=True):
        written["config"] = arm.config.to_dict()
        written["sweep"] = {axis.setting: axis.values for axis in arm.sweep}
    content["rows"] = arms  # the file's word since version 0.1.0
    write_json(Path(study_dir) / FILE_NAME, {"format_version": FORMAT_VERSION, **content})


def read_study(study_dir: str | os.PathLike[str]) -> Study:
    """The study in a folder.

    Raises:
        UserError: There is none, or its study.json is damaged or of another version.
    """
    path = Path(study_dir) / FILE_NAME
    restore = "Restore it, or start the study again in another folder."
    content = read_json(path, restore)
    try:
        version = content["format_version"]
        if version != FORMAT_VERSION:
            raise _OtherVersionError(repr(version))
        return _study(content)
    except _OtherVersionError as error:
        raise UserError(
            f"{path} has format version {error}, this tf_fullbatch reads {FORMAT_VERSION}: use the version that wrote "
            "it, or choose another folder."
        ) from error
    except UserError as error:  # of an arm's settings
        raise UserError(f"{path} is damaged or of another version ({error}) {restore}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}). {restore}") from error


class _OtherVersionError(Exception):
    """study.json has another format."""


def _study(content: dict[str, Any]) -> Study:
    if not content["rows"] or not content["seeds"]:
        raise ValueError("it has no rows or no seeds")
    return Study(
        title=str(content["title"]),
        arms=tuple(map(_arm, content["rows"])),
        seeds=tuple(map(int, content["seeds"])),
        compare=tuple((str(a), str(b)) for a, b in content["compare"]),
        waterfall=tuple(map(str, content["waterfall"])),
        jobs=int(content["jobs"]),
        sweep_seed=int(content.get("sweep_seed", SWEEP_SEED)),
        choose_by=content.get("choose_by"),
    )


def _arm(content: dict[str, Any]) -> Arm:
    published = content["published"]
    return Arm(
        name=str(content["name"]),
        config=_config(content["name"], content["config"]),
        published=None if published is None else _published(**published),
        sweep=tuple(
            Axis(setting=str(name), values=tuple(map(str, values)))
            for name, values in content.get("sweep", {}).items()
        ),
    )


def _config(arm: str, content: dict[str, Any]) -> Config:
    try:
        return Config.from_dict(content)
    except UserError as error:
        raise UserError(f"arm {arm!r}: {error}") from error


def _published(*, accuracy: float, spread: float | None, source: str) -> Published:
    spread = None if spread is None else float(spread)
    return Published(accuracy=float(accuracy), spread=spread, source=str(source))
