"""Several parts at once, `--measure=sharpness,trace`, and the options of each, `sharpness.k=3,trace.products=20`; of
parts whose order counts (`part_lists`) in brackets."""

import dataclasses
import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.accepted_names import LISTED_BY, MOST


def refuse_unknown(
    setting: str,
    names: Collection[str],
    known: Mapping[str, Any],
    noun: str,
    numbers: Mapping[str, str | None] | None = None,
) -> None:
    """Refuses names of no part.

    Args:
        setting: Which names them.
        names: Those given.
        known: Name -> class of settings.
        noun: What a part is called.
        numbers: Name -> the option that a number right after it stands for, as of `part_lists.parsed_parts`; None where
            no part has one.

    Raises:
        UserError: One is unknown; it says which are near, or all where none is (of many how to list them).
    """
    for name in names:
        if name not in known:
            near = _near(name, known, numbers or {})
            few = len(known) <= MOST
            there = (
                f"there are {', '.join(known)}."
                if few
                else f"there are {len(known)} ({LISTED_BY} lists them)."
            )
            hint = f"did you mean {' or '.join(near)}?" if near else there
            raise UserError(f"--{setting}={name}: there is no such {noun}; {hint}")


def _near(name: str, known: Mapping[str, Any], numbers: Mapping[str, str | None]) -> list[str]:
    """Known names like one, however it is capitalised, the nearest first; with its number where they take one."""
    found = re.fullmatch(r"(.*?)(\d[\d.]*)", name) if numbers else None
    stem, number = found.groups() if found else (name, "")
    near = [stem.lower()] if stem.lower() in known else difflib.get_close_matches(stem.lower(), known)
    return [f"{one}{number}" if numbers.get(one) else one for one in near]


def with_options(
    setting: str, names: Collection[str], known: Mapping[str, type], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Name -> settings of each part; lists become tuples.

    Args:
        setting: Which names the parts; `--SETTING_options` has their options.
        names: Keys of `known`.
        known: Name -> class of settings.
        options: "part.key" -> value.

    Raises:
        UserError: An option of no part that is named, or out of its range.
    """
    of_each: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in options.items():
        name, _, option = key.partition(".")
        if name not in of_each or not option:
            raise UserError(
                f"--{setting}_options={key}={value}: options are {setting.upper()}.KEY=VALUE, of one of "
                f"{', '.join(names)}."
            )
        of_each[name][option] = value
    return {name: with_own_options(setting, name, known[name], given) for name, given in of_each.items()}


def with_own_options(
    setting: str, name: str, kind: type, options: Mapping[str, Any], *, bracketed: bool = False
) -> Any:
    """The settings of one part; lists become tuples.

    Args:
        setting: Which names the part; `--SETTING_options` has its options.
        name: The part's.
        kind: Class of its settings.
        options: Key -> value.
        bracketed: The options stand in brackets after the name instead.

    Raises:
        UserError: An option that it has not, or out of its range.
    """
    flag = setting if bracketed else f"{setting}_options"
    accepted = {field.name: field.type for field in dataclasses.fields(kind)}
    for option, value in options.items():
        if option not in accepted:
            shown = f"{name}({option}={value})" if bracketed else f"{option}={value}"
            raise UserError(
                f"--{flag}={shown}: {name} has no option {option!r}; it has {', '.join(accepted) or 'none'}."
            )
    given = {option: _plain(accepted[option], value) for option, value in options.items()}
    try:
        return kind(**given)
    except UserError as error:
        raise UserError(f"--{flag} of {name}: {str(error).removeprefix('--')}") from error


def _plain(kind: Any, value: Any) -> Any:
    """A value as a field has it: flags' words for truth are accepted beside Python's, lists are tuples."""
    if kind is bool and value in ("true", "false"):
        return value == "true"
    return tuple(value) if isinstance(value, list) else value
