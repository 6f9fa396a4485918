"""Several parts at once, `--measure=sharpness,trace`, and the options of each, `sharpness.k=3,trace.products=20`; of
parts whose order counts (`part_lists`) in brackets."""

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from typing import Any

from tf_fullbatch.errors import UserError


def refuse_unknown(setting: str, names: Collection[str], known: Mapping[str, Any], noun: str) -> None:
    """Refuses names of no part.

    Args:
        setting: Which names them.
        names: Those given.
        known: Name -> class of settings.
        noun: What a part is called.

    Raises:
        UserError: One is unknown; it says which are near.
    """
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, cutoff=0.4) or list(known)
            raise UserError(f"--{setting}={name}: there is no such {noun}; there are {', '.join(near)}.")


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
