"""Which runs at which steps are asked about; what cannot be asked of them is refused before TensorFlow is loaded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_fullbatch.config.run import Config
from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection.base import Question
from tf_fullbatch.records.checkpoints import load_step
from tf_fullbatch.records.run_folder import RunFolder

_NOT_OF_THE_NETWORK = ("initial_weights", "step")


@dataclass(frozen=True, slots=True)
class Place:
    """A run at a step.

    Attributes:
        folder: The run's.
        config: Its settings.
        step: Updates made before the checkpoint; None for the newest.
        name: The run's, told from those of the other runs: the last parts of its path.
    """

    folder: RunFolder
    config: Config
    step: int | None
    name: str

    def __str__(self) -> str:
        return str(self.folder.path) if self.step is None else f"{self.folder.path}, step {self.step}"


def places_of(run_dirs: Sequence[str], steps: Sequence[int]) -> list[Place]:
    """The runs at the steps asked for.

    Args:
        run_dirs: Folders of runs.
        steps: None, one for all runs, one for each, or several of one run.

    Raises:
        UserError: A folder has no run, or no such checkpoint; or steps and runs do not fit.
    """
    if not run_dirs:
        raise UserError("no run to look at: name one or more folders of runs (--help says more).")
    folders = [RunFolder(path) for path in run_dirs]
    configs = [folder.read_config() for folder in folders]
    names = names_of([folder.path.resolve() for folder in folders])
    if len(folders) == 1 and len(steps) > 1:
        found = [Place(folders[0], configs[0], step, names[0]) for step in steps]
    elif len(steps) in (0, 1, len(folders)):
        one_for_all = steps[0] if steps else None
        each = steps if len(steps) == len(folders) else [one_for_all] * len(folders)
        found = [Place(*place) for place in zip(folders, configs, each, names, strict=True)]
    else:
        raise UserError(
            f"--step={','.join(map(str, steps))}: {len(steps)} steps for {len(folders)} runs; give one for all runs or "
            "one per run."
        )
    keys = [(place.folder.path.resolve(), place.step) for place in found]
    for place, key in zip(found, keys, strict=True):
        if keys.count(key) > 1:
            raise UserError(f"{place} is named twice: name each once.")
        if place.step is not None:
            load_step(place.folder.checkpoints, place.step)
    return found


def names_of(paths: Sequence[Path]) -> list[str]:
    """As many of the last parts of each path, with dashes between them, as tell different paths apart."""
    parts = 1
    while True:
        names = ["-".join(path.parts[-parts:]).replace("/", "") for path in paths]
        if len(set(names)) == len(set(paths)) or parts >= max(len(path.parts) for path in paths):
            return names
        parts += 1


def refuse_unlike(questions: Mapping[str, Question], places: Sequence[Place]) -> None:
    """Refuses to compare what cannot be compared.

    Raises:
        UserError: Runs of different networks or precisions; or other than two, or other data, where a path is to lead
            from one to the other.
    """
    for name, question in questions.items():
        if question.weights == "two":
            if len(places) != 2:
                raise UserError(
                    f"--what={name} takes two trained networks, but {len(places)} came: name two runs, or one and two "
                    "of its steps, --step=10,20."
                )
            _refuse_other(name, "one network on the same samples", places, _network, _samples)
        elif question.weights == "all":
            _refuse_other(name, "runs of one network", places, _network)


def _refuse_other(
    name: str, wanted: str, places: Sequence[Place], *of: Callable[[Place], Mapping[str, object]]
) -> None:
    first, *others = places
    for other in others:
        for settings in of:
            here, there = settings(first), settings(other)
            for key, value in here.items():
                if value != there.get(key):
                    raise UserError(
                        f"--what={name} compares {wanted}, but --{key} is {_shown(value)} in {first.folder.path} and "
                        f"{_shown(there.get(key))} in {other.folder.path}."
                    )


def _network(place: Place) -> dict[str, object]:
    found = {k: v for k, v in place.config.model.to_flat().items() if k not in _NOT_OF_THE_NETWORK}
    return found | {"dtype_policy": place.config.runtime.dtype_policy} | _hash_of(place, "model")


def _samples(place: Place) -> dict[str, object]:
    found = {k: v for k, v in place.config.data.to_flat().items() if k != "data_dir"}
    return found | _hash_of(place, "dataset")


def _hash_of(place: Place, setting: str) -> dict[str, object]:
    """The file that a setting names, as it was when the run began."""
    found = place.folder.read_file_hashes().get(setting)
    return {} if found is None else {f"{setting} (its file's SHA-256)": found[:12]}


def _shown(value: object) -> str:
    return "unset" if value is None else str(value)
