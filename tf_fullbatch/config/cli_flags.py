"""The flags of a run: arguments -> `Config`, `Config` -> flagfile."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tf_fullbatch.config.run import FILE_SETTINGS, Config, settings_fields
from tf_fullbatch.data.controls.listing import lists_ids
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import flag_parsing, part_names
from tf_fullbatch.settings.fields import flag_text

GROUP_TITLES = {
    "data": "Data",
    "controls": "Controls of generalisation: changed labels and inputs, samples twice or left out",
    "model": "Network",
    "step": "Step: micro-batches, penalty, clipping, noise, augmentation, precision",
    "optimizer": "Update batches, loss, optimizer, learning rate",
    "measures": "Measurements along training",
    "runtime": "Length, devices, evaluation, output",
}

# "~" is the home folder in these. Those that are read are made absolute, so that run.flags repeats a run from
# any working folder.
_READ_PATHS = ("data_dir", "initial_weights", "leave_out")
_PATHS = (*_READ_PATHS, "output_dir")
_OF_STUDIES = dict.fromkeys(
    (
        "arm",
        "all_arms",
        "row",
        "all_rows",
        "seeds",
        "sweep",
        "jobs",
        "launcher",
        "compare",
        "waterfall",
        "published",
    ),
    "it describes a study, for python -m tf_fullbatch.study",
)


def parse(argv: Sequence[str]) -> Config | None:
    """The configuration that command-line arguments describe; None where they ask for help.

    Args:
        argv: The program's name and its arguments.

    Raises:
        UserError: An unknown flag, a value that does not parse, a flagfile that cannot be read, or a setting
            that is refused.
    """
    values = flag_parsing.parse(argv, [setting for _, setting in settings_fields()], _OF_STUDIES)
    if values is None:
        return None
    return config_of(values)


def config_of(values: Mapping[str, Any]) -> Config:
    """The configuration of setting -> value, of every setting; files get their whole paths.

    Raises:
        UserError: A setting that is refused.
    """
    values = dict(values)
    for name in _PATHS:
        if values[name] is not None and not (name == "leave_out" and lists_ids(values[name])):
            values[name] = resolved_path(name, values[name])
    for name in FILE_SETTINGS:
        values[name] = part_names.absolute(values[name])
    groups: dict[str, dict[str, Any]] = {}
    for group, setting in settings_fields():
        groups.setdefault(group, {})[setting.name] = values[setting.name]
    return Config.from_dict(groups)


def help_text() -> str:
    """All flags by group, with defaults and accepted values."""
    lines = ["usage: python -m tf_fullbatch.main [--flagfile=FILE] [--name=value ...]", ""]
    lines += [
        "  --flagfile=FILE",
        "      Read flags from a file, one per line; later flags win. recipe:NAME is a file that is",
    ]
    lines += ["      shipped, such as recipe:quickstart; recipe: alone lists them."]
    lines += ["  --version", "      Show the version."]
    group = ""
    for name, setting in settings_fields():
        if name != group:
            group = name
            lines += ["", GROUP_TITLES[group]]
        lines += flag_parsing.help_lines(setting)
    return "\n".join(lines)


def arguments(config: Config) -> list[str]:
    """The flags of a configuration: every setting that differs from its default."""
    given, values = [], config.values()
    for _, setting in settings_fields():
        value = values[setting.name]
        if value != setting.default:
            given.append(f"--{setting.name}={flag_text(setting, value)}")
    return given


def flagfile_text(config: Config) -> str:
    """A flagfile that repeats a run; of one on objects of a Python program, its settings."""
    comment = "# Repeats this run in another folder: python -m tf_fullbatch.main --flagfile=THIS_FILE --output_dir=NEW"
    values = config.values()
    if any(part_names.is_object(values[name]) for name in FILE_SETTINGS):
        comment = "# The settings of a run on objects of a Python program: tf_fullbatch.train repeats it, given these"
    return "\n".join([comment, *map(shlex.quote, arguments(config))]) + "\n"


def settings_text(config: Config) -> str:
    """Every setting as a flag, one per line, by group."""
    values = config.values()
    return "\n".join(
        f"--{setting.name}={flag_text(setting, values[setting.name])}" for _, setting in settings_fields()
    )


def resolved_path(name: str, value: str) -> str:
    """A path given as the flag `name`: with its "~" replaced, absolute where it is read.

    Raises:
        UserError: It is no path.
    """
    if not value.isprintable():
        raise UserError(
            f"--{name}={value!r}: a path with line ends, control characters or bytes that are no text is not accepted."
        )
    try:
        path = Path(value).expanduser() if value.startswith("~") else Path(value)
    except RuntimeError as error:  # there is no home folder
        raise UserError(f"--{name}={value}: {error} Give the whole path.") from error
    text = str(path.absolute() if name in _READ_PATHS else path)
    # Path drops a leading "./", without which run.flags would name the home folder or no folder at all.
    return f"./{text}" if text.startswith("~") or text == "none" else text
