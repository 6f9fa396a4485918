"""absl flags made from documented dataclass fields (`settings.fields.setting`), and their values back.

Every command of the package reads its flags here; what a flag is called, accepts and means is in its field. absl is
not told of choices and ranges: the dataclass checks them, as it does for config.json and for Python, in the same words.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import part_names
from tf_fullbatch.settings.fields import flag_text, none_word
from tf_fullbatch.settings.flagfiles import located_arguments

Field = dataclasses.Field

_LONGEST_NAME = 60


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


class _Several(flags.ArgumentParser):
    """Parses numbers or words separated by commas into a tuple; nothing gives the empty tuple."""

    def __init__(self, kind: type):
        self._numbers = kind is not str
        self._parse_one = _Number(kind, None).parse if self._numbers else str.strip
        super().__init__()

    def parse(self, argument: Any) -> tuple:
        if isinstance(argument, tuple):
            return argument
        return tuple(self._parse_one(part) for part in str(argument).split(",") if part.strip())

    def flag_type(self) -> str:
        return "comma-separated numbers" if self._numbers else "comma-separated words"


def define(fields: Sequence[Field], flag_values: flags.FlagValues) -> None:
    """Defines one flag per field, and --help."""
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=flag_values)
    for field in fields:
        parser, text = _parser(field), field.metadata["help"]
        default: Any = field.default
        if field.metadata["repeated"]:
            flags.DEFINE_multi_string(field.name, list(default), text, flag_values=flag_values)
        elif isinstance(parser, flags.BooleanParser):
            flags.DEFINE_bool(field.name, default, text, flag_values=flag_values)
        elif parser is None:
            flags.DEFINE_string(field.name, default, text, flag_values=flag_values)
        else:
            flags.DEFINE(parser, field.name, default, text, flag_values=flag_values)


def parse(
    argv: Sequence[str], fields: Sequence[Field], elsewhere: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Field name -> value of every field; None where the arguments ask for help.

    Args:
        argv: The program's name and its arguments; --flagfile=FILE is replaced by the flags in the file.
        fields: The fields whose flags are accepted. Ranges are not checked here, `check_ranges` does.
        elsewhere: Flags of other commands -> what to do about one that is met here.

    Raises:
        UserError: An unknown flag, a value that does not parse, or a flagfile that cannot be read.
    """
    flag_values = flags.FlagValues()
    define(fields, flag_values)
    arguments = [argument.text for argument in located_arguments(argv[1:])]
    _refuse_long_names(arguments)
    try:
        rest = flag_values([argv[0], *arguments])
    except flags.UnrecognizedFlagError as error:
        if elsewhere and error.flagname in elsewhere:
            raise UserError(
                f"--{error.flagname} is no flag of this command: {elsewhere[error.flagname]}."
            ) from error
        raise UserError(f"{error} (--help lists all flags)") from error
    except (flags.Error, ValueError) as error:  # a plain ValueError for --noname=value
        said = re.sub(r"\('Non-boolean argument.*\)", "expected true or false", " ".join(str(error).split()))
        raise UserError(f"{said} (--help lists all flags)") from error
    if flag_values["help"].value:
        return None
    if len(rest) > 1:
        raise UserError(
            f"unexpected argument {rest[1]!r}: settings are given as --name=value (--help lists them)."
        )
    values = {field.name: flag_values[field.name].value for field in fields}
    for field in fields:
        if field.metadata["repeated"]:
            values[field.name] = tuple(values[field.name])
        if field.default is None and values[field.name] in ("", none_word(field)):
            values[field.name] = None
    return values


def separated(arguments: Sequence[str], fields: Sequence[Field]) -> tuple[list[str], list[str]]:
    """(flags, folders) of a command that takes both; a flag's value may follow it as an argument of its own.

    Args:
        arguments: Without the program's name; everything after "--" is a folder.
        fields: The fields whose flags are accepted.
    """
    with_value = {"flagfile", *(field.name for field in fields if field.type is not bool)}
    flags: list[str] = []
    folders: list[str] = []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        if argument == "--":
            return flags, folders + remaining
        if not argument.startswith("-"):
            folders.append(argument)
            continue
        flags.append(argument)
        if argument.lstrip("-") in with_value and remaining:
            flags.append(remaining.pop(0))
    return flags, folders


def help_lines(field: Field) -> list[str]:
    """A flag with its default and accepted values, and what it means."""
    choices, shown = field.metadata["choices"], flag_text(field, field.default)
    some = "any" if isinstance(field.default, tuple) else "one"
    code = f" or {part_names.ACCEPTED}" if field.metadata["or_code"] else ""
    accepted = f"{some} of {', '.join(choices)}{code}; " if choices else ""
    return [f"  --{field.name}=({accepted}default {shown or 'unset'})", f"      {field.metadata['help']}"]


def _parser(field: Field) -> flags.ArgumentParser | None:
    """The parser of a field's type; None for text."""
    kind = field.type
    if isinstance(kind, types.UnionType):
        (kind,) = (k for k in typing.get_args(kind) if k is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        return _Several(typing.get_args(kind)[0])
    if kind is bool:
        return flags.BooleanParser()
    return _Number(kind, none_word(field)) if kind in (int, float) else None


def _refuse_long_names(arguments: Sequence[str]) -> None:
    """Refuses names that cannot be flags and that absl, looking for a similar one, takes seconds or fails over."""
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("-") and len(name) > _LONGEST_NAME:
            raise UserError(
                f"Unknown command line flag '{name.lstrip('-')[:_LONGEST_NAME]}...' (--help lists all flags)"
            )
