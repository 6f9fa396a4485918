"""What --sweep asks for: values of settings, and the grid of all their combinations for each arm."""

import csv
import dataclasses
import difflib
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.comparing import compared_settings
from tf_fullbatch.config.run import Config, fields_by_name, settings_fields
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.study_file import Arm, Axis
from tf_fullbatch.settings.fields import flag_text

Point = tuple[tuple[str, str], ...]
"""(setting, value as its flag takes it) of every swept setting: a place in an arm's grid."""

_MOST_TRIALS = 1000
_SWEEP = re.compile(r"\s*(?:([^\s:=]+)\s*:\s*)?-{0,2}([A-Za-z_]\w*)\s*=(.*)", re.DOTALL)
_OF_THE_STUDY = {
    "seed": "trials share --sweep_seed, and the runs have --seeds",
    "dataset": "trials must be judged by the same validation samples",
    "dataset_options": "trials must be judged by the same validation samples",
    "data_dir": "trials must be judged by the same validation samples",
    "validation_size": "trials must be judged by the same validation samples",
    "label_noise": "trials must be judged by the same validation labels",
    "label_noise_convention": "trials must be judged by the same validation labels",
    "random_labels": "trials must be judged by the same validation labels",
    "noisy_validation": "trials must be judged by the same validation labels",
    "pixel_shuffle": "trials must be judged by the same validation inputs",
    "gaussian_inputs": "trials must be judged by the same validation inputs",
    "ema_decay": "trials are judged by their weights as trained, which it does not change",
    "swa_start_epoch": "trials are judged by their weights as trained, which it does not change",
}
"""What is not swept, and why; beside what changes no result, and `extend_epochs` with its like."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One --sweep: of an arm, or of all where `arm` is None."""

    text: str
    arm: str | None
    axis: Axis


def swept_arms(texts: Sequence[str], arms: Sequence[Arm], choose_by: str | None = None) -> tuple[Arm, ...]:
    """The arms with the grids that --sweep asks for; an arm's own sweep of a setting wins over that of all arms.

    Args:
        texts: Each a --sweep.
        arms: The arms.
        choose_by: The figure that chooses, see `options.CHOOSE_BY`.

    Raises:
        UserError: A sweep that cannot be, or a combination of values that no run can have.
    """
    asked = [_asked(text, [arm.name for arm in arms], choose_by) for text in texts]
    for k, one in enumerate(asked):
        if any((one.arm, one.axis.setting) == (o.arm, o.axis.setting) for o in asked[:k]):
            raise UserError(
                f"--sweep={one.text!r}: {one.axis.setting} is swept already; name all values at once."
            )
    return tuple(_with_grid(arm, asked) for arm in arms)


def points_of(arm: Arm) -> list[tuple[Point, Config]]:
    """Every combination of an arm's sweep with its settings, in order; none where nothing is swept.

    Raises:
        UserError: A combination that no run can have.
    """
    if not arm.sweep:
        return []
    flags = cli_flags.arguments(arm.config)
    return [
        _point(arm, flags, tuple(zip(arm.swept, values, strict=True)))
        for values in itertools.product(*(axis.values for axis in arm.sweep))
    ]


def point_in(config: Config, names: Sequence[str]) -> Point:
    """Where settings stand in a grid of these names."""
    fields, values = fields_by_name(), config.values()
    return tuple((name, flag_text(fields[name], values[name])) for name in names)


def point_text(point: Point) -> str:
    """A point for people: "learning_rate=0.1, clip_norm=0.25"."""
    return ", ".join(f"{name}={value}" for name, value in point)


def remark_on_edges(arm: Arm, chosen: Point) -> list[str]:
    """A line for each number that is the largest or smallest tried, unless its setting goes no further."""
    ends = [
        (name, value, end_of_grid(name, axis.values, value))
        for axis, (name, value) in zip(arm.sweep, chosen, strict=True)
    ]
    return [
        f"{name}={value} is the {which} tried: extend its --sweep to see beyond."
        for name, value, which in ends
        if which
    ]


def end_of_grid(setting: str, tried: Iterable[object], chosen: object) -> str | None:
    """ "largest" or "smallest" where the chosen number is at an end of those tried and its setting goes further."""
    (metadata,) = [field.metadata for _, field in settings_fields() if field.name == setting]
    try:
        numbers, here = [float(str(value)) for value in tried], float(str(chosen))
    except ValueError:  # words have no order
        return None
    if here in (metadata["minimum"], metadata["maximum"]):
        return None
    return "largest" if here == max(numbers) else "smallest" if here == min(numbers) else None


def _asked(text: str, arms: Sequence[str], choose_by: str | None) -> _Asked:
    match = _SWEEP.fullmatch(text)
    if match is None:
        raise UserError(
            f"--sweep={text!r}: expected '[ARM:] NAME=VALUE,VALUE,...', such as 'learning_rate=0.1,0.2'."
        )
    arm, name, given = match.groups()
    if arm is not None and arm not in arms:
        raise UserError(f"--sweep={text!r}: there is no arm {arm!r}; the arms are {', '.join(arms)}.")
    _check_setting(text, name, choose_by)
    try:
        values = [
            value.strip() for value in next(csv.reader([given], skipinitialspace=True, strict=True), [])
        ]
    except csv.Error as error:
        raise UserError(
            f"--sweep={text!r}: {error}. Separate values by commas; one with commas stands in double quotes."
        ) from error
    if len(values) < 2 or not all(values):
        raise UserError(
            f"--sweep={text!r}: give at least two values, separated by commas; a single one belongs in --arm."
        )
    return _Asked(text, arm, Axis(setting=name, values=tuple(values)))


def _check_setting(text: str, name: str, choose_by: str | None) -> None:
    fields = fields_by_name()
    if name not in fields:
        near = difflib.get_close_matches(name, fields, 1)
        raise UserError(
            f"--sweep={text!r}: there is no setting {name!r}{f'; {near[0]!r} is one' if near else ''} "
            "(python -m tf_fullbatch.main --help lists all)."
        )
    reason = _OF_THE_STUDY.get(name)
    if name.startswith("extend_"):
        reason = "it is for passes after a run's own; sweep epochs and the settings of the run"
    elif name in ("loss", "loss_options") and choose_by not in ("validation_accuracy", "validation_error"):
        reason = "values of different losses do not compare; give --choose_by=validation_accuracy"
    elif reason is None and name != "epochs" and not fields[name].metadata["affects_results"]:
        reason = "it changes no result"
    if reason is not None:
        raise UserError(f"--sweep={text!r}: {name} is not for a sweep: {reason}.")


def _with_grid(arm: Arm, asked: Sequence[_Asked]) -> Arm:
    own = [one.axis.setting for one in asked if one.arm == arm.name]
    mine = [one for one in asked if one.arm == arm.name or (one.arm is None and one.axis.setting not in own)]
    if not mine:
        return arm
    trials = 1
    for one in mine:
        trials *= len(one.axis.values)
    if trials > _MOST_TRIALS:
        raise UserError(f"arm {arm.name!r}: its sweeps make {trials:,} trials; at most {_MOST_TRIALS:,}.")
    found = points_of(dataclasses.replace(arm, sweep=tuple(one.axis for one in mine)))
    axes = tuple(
        Axis(setting=one.axis.setting, values=tuple(dict.fromkeys(point[k][1] for point, _ in found)))
        for k, one in enumerate(mine)
    )
    for one, axis in zip(mine, axes, strict=True):
        if len(axis.values) < len(one.axis.values):
            raise UserError(f"--sweep={one.text!r}: a value comes twice; name each once.")
    _refuse_equal_runs(arm.name, found)
    return dataclasses.replace(arm, sweep=axes)


def _refuse_equal_runs(arm: str, found: Sequence[tuple[Point, Config]]) -> None:
    seen: dict[tuple, Point] = {}
    for point, config in found:
        settings = tuple(compared_settings(config).values())
        if settings in seen:
            raise UserError(
                f"arm {arm!r}: the trials {point_text(seen[settings])} and {point_text(point)} are one run; leave one "
                "of their values out of --sweep."
            )
        seen[settings] = point


def _point(arm: Arm, flags: Sequence[str], given: Point) -> tuple[Point, Config]:
    try:
        config = cli_flags.parse(["sweep", *flags, *(f"--{name}={value}" for name, value in given)])
    except UserError as error:
        raise UserError(f"arm {arm.name!r}, trial {point_text(given)}: {error}") from error
    assert config is not None
    return point_in(config, arm.swept), config
