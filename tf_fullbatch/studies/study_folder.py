"""Whose a study's folder is, and whether what is there belongs to the study that is asked for."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from tf_fullbatch.config.comparing import result_differences
from tf_fullbatch.config.run import FILE_SETTINGS
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.files import os_errors_as_user_errors
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.study_file import FILE_NAME, Arm, Study, folder_of, read_study
from tf_fullbatch.records.trials_file import TRIALS_FOLDER
from tf_fullbatch.run.own_files import check_unchanged
from tf_fullbatch.studies.cluster import JOBS_FOLDER
from tf_fullbatch.studies.planned_runs import last_epoch
from tf_fullbatch.studies.sweeps import points_of
from tf_fullbatch.studies.trials import is_trial, trial_folder


def check_study_folder(study_dir: str | os.PathLike[str], study: Study) -> None:
    """Refuses a folder that is not this study's.

    Arms, seeds, passes and values of sweeps may have been added, but none taken away.

    Raises:
        UserError: A file, a folder of something else, or of a study with other arms, more seeds, passes or trials, or
            with runs of another version of the user's files.
    """
    path = Path(study_dir)
    with os_errors_as_user_errors(path):
        if path.exists() and not path.is_dir():
            raise UserError(f"--output_dir={path}: it is a file. Give a folder.")
        holds_study = (path / FILE_NAME).exists()
        others = [] if not path.is_dir() else [inside.name for inside in path.iterdir()]
        if not holds_study and any(name != JOBS_FOLDER and not name.startswith(".") for name in others):
            raise UserError(f"--output_dir={path} holds files but no study. Choose an empty or new folder.")
    if not holds_study:
        return
    arms = {arm.name: arm for arm in study.arms}
    old = read_study(path)
    for arm in old.arms:
        trials = path / TRIALS_FOLDER / arm.name
        new = arms.get(arm.name)
        if (path / arm.name).exists() or (trials.exists() and (new is None or new.sweep)):
            _check_arm(path, arm, new)
    for arm in study.arms:
        if arm.sweep:
            _check_trials(path, arm, study.sweep_seed)
        for seed in dict.fromkeys((*old.seeds, *study.seeds)):
            _check_run(path, arm, seed, study.seeds)
    _check_files(path, study)


def _check_arm(path: Path, old: Arm, new: Arm | None) -> None:
    """Refuses an arm that was begun and is not in the study any more, or has other settings there."""
    if new is None:
        raise UserError(
            f"--output_dir={path} holds another study: its arm {old.name!r} is not in this one. Choose another "
            f"--output_dir, or delete {path / old.name}."
        )
    free = ("seed", *new.swept)
    differences = [d for d in result_differences(old.config, new.config) if d[0] not in free]
    if "epochs" in free and new.config.optimizer.schedule_epochs is None:  # the schedule's horizon follows
        differences = [d for d in differences if d[0] != "schedule_epochs"]
    if differences:
        shown = "; ".join(f"--{name}: {there} there, {here} now" for name, there, here in differences)
        raise UserError(
            f"--output_dir={path} holds another study: its arm {old.name!r} has other settings ({shown}). Choose "
            f"another --output_dir, or delete {path / old.name} to run the arm anew."
        )


def _check_trials(path: Path, arm: Arm, seed: int) -> None:
    """Refuses trials that are there and would be left out, those with another seed included."""
    expected = {trial_folder(path, arm.name, point, seed).path for point, _ in points_of(arm)}
    for folder in sorted((path / TRIALS_FOLDER / arm.name).glob("*/seed-*")):
        if folder.is_dir() and folder not in expected and is_trial(folder):
            raise UserError(
                f"arm {arm.name!r}: {folder} is there, a trial that this --sweep and --sweep_seed leave out. Name all "
                "values, so that none is left out after it was seen, or delete its folder."
            )


def _check_files(path: Path, study: Study) -> None:
    """Refuses runs and trials that used another version of a file of the user's: an arm would mix the two."""
    checked = set()
    for arm in study.arms:
        found = [*(path / arm.name).glob("seed-*"), *(path / TRIALS_FOLDER / arm.name).glob("*/seed-*")]
        for run in map(RunFolder, sorted(found)):
            try:
                config, hashes = run.read_config(), run.read_file_hashes()
            except UserError:  # is said of the run when it is started
                continue
            key = json.dumps([[config.values()[name] for name in FILE_SETTINGS], hashes], sort_keys=True)
            if key not in checked:  # files of data are large
                checked.add(key)
                check_unchanged(run, config)


def _check_run(path: Path, arm: Arm, seed: int, seeds: Sequence[int]) -> None:
    """Refuses a run that is there and would be left out, or be shown as shorter than it is."""
    folder = folder_of(path, arm.name, seed)
    if not folder.path.exists():
        return
    if seed not in seeds:
        raise UserError(
            f"--seeds={','.join(map(str, seeds))}: {folder.path} is there, of another seed. Name all seeds, so that "
            "none is left out after it was seen, or delete their folders."
        )
    if "epochs" in arm.swept:  # validation chooses it
        return
    done, asked = last_epoch(folder), arm.config.total_epochs
    if done > asked:
        raise UserError(
            f"arm {arm.name!r}: --epochs={asked}, but the run in {folder.path} has {done:g} passes already. Ask for "
            "as many, or choose another --output_dir."
        )
