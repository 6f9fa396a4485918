"""absl flags made from the configuration's fields, and back: arguments -> `Config`, `Config` -> flagfile."""

import dataclasses
import shlex
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from tf_fullbatch.config.run import Config, settings_fields
from tf_fullbatch.outcomes import UserError

GROUP_TITLES = {
    "data": "Data",
    "model": "Network",
    "step": "Step: micro-batches, penalty, clipping, noise, augmentation, precision",
    "optimizer": "Update batches, loss, optimizer, learning rate",
    "runtime": "Length, devices, evaluation, output",
}

# "~" is the home folder in these. Those that are read are made absolute, so that run.flags repeats a run from
# any working folder.
_READ_PATHS = ("data_dir", "initial_weights")
_PATHS = (*_READ_PATHS, "output_dir")


class _Number(flags.ArgumentParser):
    """Parses one number; a word, where given, stands for None."""

    def __init__(self, kind: type, none_word: str | None):
        self._kind = kind
        self._none_word = none_word
        super().__init__()

    def parse(self, argument: Any) -> Any:
        text = str(argument).strip()
        if self._none_word is not None and text == self._none_word:
            return None
        try:
            return self._kind(text)
        except ValueError:
            expected = "a whole number" if self._kind is int else "a number"
            alternative = f" or {self._none_word}" if self._none_word else ""
            raise ValueError(f"expected {expected}{alternative}") from None

    def flag_type(self) -> str:
        return "integer" if self._kind is int else "number"


class _Numbers(flags.ArgumentParser):
    """Parses numbers separated by commas into a tuple; nothing gives the empty tuple."""

    def __init__(self, kind: type):
        self._number = _Number(kind, None)
        super().__init__()

    def parse(self, argument: Any) -> tuple:
        if isinstance(argument, tuple):
            return argument
        return tuple(self._number.parse(part) for part in str(argument).split(",") if part.strip())

    def flag_type(self) -> str:
        return "comma-separated numbers"


def define(flag_values: flags.FlagValues) -> None:
    """Defines one flag a setting, and --help."""
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=flag_values)
    for _, setting in settings_fields():
        parser, default = _parser(setting), setting.default
        text = setting.metadata["help"]
        if isinstance(parser, flags.BooleanParser):
            flags.DEFINE_bool(setting.name, default, text, flag_values=flag_values)
        elif parser is None:
            flags.DEFINE_string(setting.name, default, text, flag_values=flag_values)
        else:
            flags.DEFINE(parser, setting.name, default, text, flag_values=flag_values)


def parse(argv: Sequence[str]) -> Config | None:
    """The configuration that command-line arguments describe; None where they ask for help.

    Args:
        argv: The program's name and its arguments.

    Raises:
        UserError: An unknown flag, a value that does not parse, a flagfile that cannot be read, or a setting
            that is refused.
    """
    flag_values = flags.FlagValues()
    define(flag_values)
    try:
        rest = flag_values([argv[0], *expand_flagfiles(argv[1:])])
    except flags.Error as error:
        raise UserError(" ".join(str(error).split()) + " (--help lists all flags)") from error
    if flag_values["help"].value:
        return None
    if len(rest) > 1:
        raise UserError(
            f"unexpected argument {rest[1]!r}: settings are given as --name=value (--help lists them)."
        )
    groups: dict[str, dict[str, Any]] = {}
    for group, setting in settings_fields():
        value = flag_values[setting.name].value
        if value in ("", _none_word(setting)) and setting.default is None:
            value = None
        if value is not None and setting.name in _PATHS:
            value = _resolved_path(setting.name, value)
        groups.setdefault(group, {})[setting.name] = value
    return Config.from_dict(groups)


def expand_flagfiles(
    arguments: Sequence[str], folder: Path | None = None, seen: tuple[Path, ...] = ()
) -> list[str]:
    """Replaces each --flagfile=FILE by the flags in it, one a line; `#` begins a comment.

    A file named within a flagfile is looked for beside that flagfile.

    Raises:
        UserError: A file that cannot be read, or that includes itself.
    """
    expanded: list[str] = []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        name, equals, value = argument.partition("=")
        if name.lstrip("-") != "flagfile" or not name.startswith("-"):
            expanded.append(argument)
            continue
        if not equals:
            if not remaining:
                raise UserError("--flagfile needs a file: --flagfile=FILE.")
            value = remaining.pop(0)
        path = ((folder or Path()) / Path(value).expanduser()).resolve()
        if path in seen:
            raise UserError(f"--flagfile={value}: the file includes itself.")
        expanded += expand_flagfiles(_lines(path, value), path.parent, (*seen, path))
    return expanded


def help_text() -> str:
    """All flags by group, with defaults and accepted values."""
    lines = ["usage: python -m tf_fullbatch.main [--flagfile=FILE] [--name=value ...]", ""]
    lines += ["  --flagfile=FILE", "      Read flags from a file, one a line; later flags win."]
    group = ""
    for name, setting in settings_fields():
        if name != group:
            group = name
            lines += ["", GROUP_TITLES[group]]
        choices = setting.metadata["choices"]
        shown = flag_text(setting, setting.default)
        accepted = f"one of {', '.join(choices)}; " if choices else ""
        lines.append(f"  --{setting.name}=({accepted}default {shown})")
        lines.append(f"      {setting.metadata['help']}")
    return "\n".join(lines)


def flagfile_text(config: Config) -> str:
    """A flagfile that repeats a run: every setting that differs from its default."""
    lines = ["# Repeats this run: python -m tf_fullbatch.main --flagfile=run.flags"]
    for group, setting in settings_fields():
        value = getattr(getattr(config, group), setting.name)
        if value != setting.default:
            lines.append(shlex.quote(f"--{setting.name}={flag_text(setting, value)}"))
    return "\n".join(lines) + "\n"


def settings_text(config: Config) -> str:
    """Every setting as a flag, one a line, by group."""
    return "\n".join(
        f"--{setting.name}={flag_text(setting, getattr(getattr(config, group), setting.name))}"
        for group, setting in settings_fields()
    )


def flag_text(setting: dataclasses.Field, value: Any) -> str:
    """A setting's value as its flag takes it."""
    if value is None:
        return _none_word(setting) or ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(flag_text(setting, item) for item in value)
    # As a whole number where it is one; else the shortest text that reads back as the same number.
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _parser(setting: dataclasses.Field) -> flags.ArgumentParser | None:
    """The parser of a setting's type; None for text."""
    kind = setting.type
    if isinstance(kind, types.UnionType):
        (kind,) = (k for k in typing.get_args(kind) if k is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        return _Numbers(typing.get_args(kind)[0])
    if kind is bool:
        return flags.BooleanParser()
    return _Number(kind, _none_word(setting)) if kind in (int, float) else None


def _none_word(setting: dataclasses.Field) -> str | None:
    """How a flag says None; None where it cannot."""
    if setting.default is not None:
        return None
    return "full" if setting.name == "batch_size" else "none"


def _resolved_path(name: str, value: str) -> str:
    """A path with its "~" replaced, absolute where it is read."""
    if not value.isprintable():
        raise UserError(
            f"--{name}={value!r}: a path with line ends, control characters or bytes that are no text is not accepted."
        )
    try:
        path = Path(value).expanduser()
    except RuntimeError as error:  # there is no home folder
        raise UserError(f"--{name}={value}: {error} Give the whole path.") from error
    return str(path.absolute() if name in _READ_PATHS else path)


def _lines(path: Path, shown: str) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UserError(
            f"--flagfile={shown}: cannot read it ({reason}). Give the path of a flagfile."
        ) from error
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            parts = shlex.split(line, comments=True)
        except ValueError as error:
            raise UserError(f"--flagfile={shown}, line {number}: {error}.") from error
        lines += parts
    return lines
