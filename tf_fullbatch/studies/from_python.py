"""Studies and sweeps from Python, by the machinery of `python -m tf_fullbatch.study`."""

import difflib
import inspect
import io
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_fullbatch.config.run import FILE_SETTINGS, fields_by_name
from tf_fullbatch.errors import UserError, raising_interrupts
from tf_fullbatch.records.study_file import SWEEP_SEED
from tf_fullbatch.records.summary import read_summary
from tf_fullbatch.records.trials_file import read_trials
from tf_fullbatch.settings import own_parts
from tf_fullbatch.settings.fields import flag_text
from tf_fullbatch.settings.part_options import options_text
from tf_fullbatch.studies import definition
from tf_fullbatch.studies.conduct import StudyConduct
from tf_fullbatch.studies.execution import Failure
from tf_fullbatch.studies.planned_runs import Run, last_epoch
from tf_fullbatch.studies.sweeps import point_in

if TYPE_CHECKING:
    import pandas as pd
    import submitit

Settings = Mapping[str, Any]
"""Name -> value of settings, as the flags of `tf_fullbatch.main` are called; `flagfile` names a file of more."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StudyResult:
    """What came of a study.

    Attributes:
        folder: The study's folder; `python -m tf_fullbatch.report FOLDER` makes a report of it.
        runs: A row per run: `arm`, `seed`, `outcome` ("COMPLETED" where it has all its passes, "STOPPED_BY_GOAL",
            "CONVERGED", ...; "" before it ended), `message`, `epochs`, `folder`, and the last figures `train_loss`,
            `train_accuracy`, `validation_loss`, `validation_accuracy`, `test_loss`, `test_accuracy` (fractions; NaN
            where there is none).
        trials: trials.csv, see `records.trials_file.read_trials`; empty without a sweep.
        chosen: Arm -> setting -> value, as its flag takes it, of what validation chose.
        failures: (run in words, reason) of what failed in this call, trials included.
    """

    folder: Path
    runs: "pd.DataFrame"
    trials: "pd.DataFrame"
    chosen: dict[str, dict[str, str]]
    failures: list[tuple[str, str]]


@raising_interrupts()
def run_study(
    output_dir: str | os.PathLike[str],
    arms: Mapping[str, Settings],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    sweep: Mapping[str, Any] | None = None,
    sweep_seed: int = SWEEP_SEED,
    choose_by: str | None = None,
    compare: Sequence[tuple[str, str]] = (),
    title: str = "",
    jobs: int = 1,
    executor: "submitit.Executor | None" = None,
    quiet: bool = False,
) -> StudyResult:
    """Runs every arm with every seed, each in a process of its own; the same call goes on where it was interrupted.

        study = tf_fullbatch.run_study(
            "runs/studies/clipping",
            arms={"plain": {"epochs": 60}, "clipped": {"epochs": 60, "clip_norm": 0.25}},
            sweep={"learning_rate": [0.1, 0.2, 0.4]},
        )
        study.runs.groupby("arm")["test_accuracy"].mean()

    Args:
        output_dir: The study's folder.
        arms: Name -> settings.
        seeds: Every arm is run with each.
        sweep: Setting -> values to try, of all arms; or arm -> setting -> values. Several settings make a grid. What is
            best on validation samples is run with the seeds.
        sweep_seed: The seed of all trials.
        choose_by: "validation_accuracy", "validation_error" or "validation_loss"; None for accuracy where there is one.
        compare: Pairs of arms (a, b) whose difference a - b the report shows.
        title: A line for the report.
        jobs: Runs side by side.
        executor: Of submitit, such as `submitit.AutoExecutor(FOLDER)`: every run is a job of its cluster; None for
            processes on this machine.
        quiet: Show no progress.

    Raises:
        UserError: Something is refused, in the words of the command's flags; nothing is written then.
        RunInterruptedError: A signal came; what was under way kept its last completed step. Of Ctrl-C, `RunInterrupt`.
    """
    if isinstance(seeds, str) or not hasattr(seeds, "__iter__"):
        raise UserError(f"seeds={seeds!r}: expected a list of whole numbers, such as [0, 1, 2].")
    pairs = [] if isinstance(compare, str) else list(compare)
    if isinstance(compare, str) or any(isinstance(pair, str) or len(pair) != 2 for pair in pairs):
        raise UserError(f"compare={compare!r}: expected pairs of names of arms, such as [('a', 'b')].")
    flags = [f"--seeds={','.join(map(str, seeds))}", f"--jobs={jobs}", f"--title={title}"]
    flags += [f"--compare={a} {b}" for a, b in pairs]
    conduct = _conduct(output_dir, arms, sweep, sweep_seed, choose_by, flags, executor, quiet)
    conduct.execute()
    return _result(Path(output_dir), conduct)


@raising_interrupts()
def run_sweep(
    output_dir: str | os.PathLike[str],
    arms: Mapping[str, Settings],
    sweep: Mapping[str, Any],
    *,
    sweep_seed: int = SWEEP_SEED,
    choose_by: str | None = None,
    jobs: int = 1,
    executor: "submitit.Executor | None" = None,
    quiet: bool = False,
) -> StudyResult:
    """Makes the trials of a sweep and chooses; `run_study` with the same arguments then runs what was chosen.

    Arguments, result and errors are those of `run_study`; `runs` is empty before that.
    """
    if not sweep:
        raise UserError(f"sweep={sweep!r}: nothing to try; give setting -> values, such as "
                        "{'learning_rate': [0.1, 0.2]}.")  # fmt: skip
    conduct = _conduct(output_dir, arms, sweep, sweep_seed, choose_by, [f"--jobs={jobs}"], executor, quiet)
    conduct.execute(trials_alone=True)
    return _result(Path(output_dir), conduct)


def _conduct(
    output_dir: str | os.PathLike[str],
    arms: Mapping[str, Settings],
    sweep: Mapping[str, Any] | None,
    sweep_seed: int,
    choose_by: str | None,
    flags: Sequence[str],
    executor: "submitit.Executor | None",
    quiet: bool,
) -> StudyConduct:
    _check_arguments(output_dir, arms, sweep)
    given = [f"--output_dir={os.fspath(output_dir)}", *flags, *(_arm(*item) for item in arms.items())]
    given += [f"--sweep={text}" for text in _sweeps(sweep or {}, arms)]
    given += [f"--sweep_seed={sweep_seed}"] if sweep else []
    given += [f"--choose_by={choose_by}"] if choose_by is not None else []
    parsed = definition.parse(["run_study", *given])
    assert parsed is not None
    options, study = parsed
    assert options.output_dir is not None
    stream = io.StringIO() if quiet else sys.stderr
    return StudyConduct(study, options.output_dir, options.jobs, stream, executor)


def _check_arguments(output_dir: Any, arms: Any, sweep: Any) -> None:
    """Refuses arguments of other types."""
    if not isinstance(output_dir, str | os.PathLike):
        raise UserError(f"output_dir={output_dir!r}: expected the study's folder.")
    if not isinstance(arms, Mapping):
        raise UserError(f"arms={arms!r}: expected name -> settings, such as {{'plain': {{'epochs': 60}}}}.")
    for name, settings in arms.items():
        if not isinstance(name, str) or not isinstance(settings, Mapping):
            raise UserError(
                f"arms: {name!r} is {settings!r}; expected a name and its settings, such as {{'epochs': 60}}."
            )
    if sweep is not None and not isinstance(sweep, Mapping):
        raise UserError(
            f"sweep={sweep!r}: expected setting -> values, such as {{'learning_rate': [0.1, 0.2]}}."
        )


def _arm(name: str, settings: Settings) -> str:
    settings = dict(settings)
    flagfile = settings.pop("flagfile", None)
    words = [name, *([] if flagfile is None else [os.fspath(flagfile)])]
    words += [f"--{setting}={_text(setting, value)}" for setting, value in settings.items()]
    return f"--arm={shlex.join(words)}"


def _sweeps(sweep: Mapping[str, Any], arms: Mapping[str, Settings]) -> list[str]:
    """The texts of --sweep."""
    texts = []
    for name, values in sweep.items():
        if isinstance(values, Mapping):
            if name not in arms:
                raise UserError(f"sweep: there is no arm {name!r}; the arms are {', '.join(arms)}.")
            texts += [f"{name}: {text}" for text in _sweeps(values, {})]
        elif isinstance(values, str) or not hasattr(values, "__iter__"):
            raise UserError(f"sweep: {name} is {values!r}; give a list of values.")
        else:
            quoted = ['"' + _text(name, value).replace('"', '""') + '"' for value in values]
            texts.append(f"{name}={','.join(quoted)}")
    return texts


def _text(name: str, value: Any) -> str:
    """A value as its flag takes it."""
    fields = fields_by_name()
    if name not in fields:
        near = difflib.get_close_matches(name, fields, 1)
        raise UserError(f"there is no setting {name!r}{f'; {near[0]!r} is one' if near else ''}.")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if name.endswith("_options") and isinstance(value, Mapping):
        return options_text(name.removesuffix("_options"), value)
    if name in FILE_SETTINGS and not isinstance(value, str):
        return _where_imported(name, value)
    if isinstance(value, list):
        value = tuple(value)
    return flag_text(fields[name], value.item() if hasattr(value, "item") else value)


def _where_imported(name: str, value: Any) -> str:
    """Where a function can be imported; other objects, and functions of the program itself, stay in this process."""
    module = own_parts.module_of(value) if inspect.isfunction(value) else None
    if module is None:
        raise UserError(
            f"{name} is an object of this program ({type(value).__name__}), but the runs of a study are processes of "
            f"their own: give where they import it from, {name}='FILE.py:function' or 'package.module:function'."
        )
    file = getattr(module, "__file__", None) or ""
    if "." not in module.__name__ and file.endswith(".py"):  # its folder may not be on the path of the runs
        return f"{file}:{value.__name__}"
    return f"{module.__name__}:{value.__name__}"


def _result(folder: Path, conduct: StudyConduct) -> StudyResult:
    import pandas as pd

    swept = [arm for arm in conduct.study.arms if arm.sweep and arm.name not in conduct.without_choice]
    runs = [run for run in conduct.runs if run.folder.path.exists()]
    columns = ["arm", "seed", "outcome", "message", "epochs", "folder"]
    figures = [
        f"{split}_{name}" for split in ("train", "validation", "test") for name in ("loss", "accuracy")
    ]
    return StudyResult(
        folder=folder,
        runs=pd.DataFrame([_row(run) for run in runs], columns=columns + figures),
        trials=read_trials(folder),
        chosen={arm.name: dict(point_in(arm.config, arm.swept)) for arm in swept},
        failures=[_in_words(failure) for failure in conduct.failures],
    )


def _row(run: Run) -> dict[str, Any]:
    try:
        summary = read_summary(run.folder.summary)
    except UserError:
        summary = {"outcome": "", "message": "", "epochs": last_epoch(run.folder)}
    row = {name: summary.get(name) for name in ("outcome", "message", "epochs")}
    row |= {"arm": run.arm.name, "seed": run.seed, "folder": str(run.folder.path)}
    final = summary.get("final", {})
    for split in ("train", "validation", "test"):
        shown = final.get(split, {})
        shown = shown if split == "train" else shown.get("raw", {})
        row |= {f"{split}_{name}": shown.get(name) for name in ("loss", "accuracy")}
    return row


def _in_words(failure: Failure) -> tuple[str, str]:
    return str(failure.run), failure.reason
