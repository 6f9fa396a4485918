"""Parts in the order in which they act, each with its options: `centralize,adaptive_clip(threshold=0.01)`."""

import contextlib
import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.part_options import keys_and_values, split_at_commas

_NUMBER = r"\d+(?:\.\d*)?"
"""Of what may stand right after a part's name."""


def parsed_parts(
    setting: str,
    text: str | None,
    kinds: Mapping[str, type | None],
    numbers: Mapping[str, str | None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Name -> options of each part, in their order.

    Values are as in `part_options.parsed_options`.

    Args:
        setting: Which has them.
        text: `NAME,NAME(key=value,...)`; None for none.
        kinds: Name -> class of settings, whose fields messages name; None where a flag of its own has them.
        numbers: Name -> the option that a number right after it stands for, `cutout8`; None as an option where it has
            none. None where no part has one.

    Raises:
        UserError: Something is no part, a part comes twice, or the text names none.
    """
    if text is None:
        return {}
    given = f"--{setting}={text}"
    found: dict[str, dict[str, Any]] = {}
    for part in split_at_commas(given, text):
        begin, bracket, rest = part.strip().partition("(")
        name, number = _split_off_number(begin.strip(), numbers or {})
        if not name.isidentifier() or (bracket and not rest.endswith(")")):
            raise UserError(f"{given}: {part.strip()!r} is no part. Give NAME,NAME(key=value,...).")
        if name in found:
            raise UserError(f"{given}: {name} comes twice; name each once.")
        options = keys_and_values(
            given, rest[:-1], instead=functools.partial(_instead, name, kinds.get(name), numbers or {})
        )
        if number:
            option = (numbers or {})[name]
            if option is None or option in options:
                why = "stands in brackets too" if option else "is no option of it"
                raise UserError(
                    f"{given}: the number after {name}, {number}, {why}. Give {name}(key=value,...)."
                )
            options[option] = float(number) if "." in number else int(number)
        found[name] = options
    if not found:
        raise UserError(f"{given}: it names nothing. Give NAME,NAME(key=value,...), or leave it out.")
    return found


def _instead(name: str, kind: type | None, numbers: Mapping[str, str | None], part: str) -> str:
    """What to give in the place of something in a part's brackets that is no option."""
    options = [field.name for field in dataclasses.fields(kind)] if kind is not None else []
    if not options:
        return f"{name} alone: it has no options" if kind is not None else "key=value,key=value"
    example, there = f"{name}(key=value,...)", f"; its options are {', '.join(options)}"
    with contextlib.suppress(ValueError):
        float(part)
        number = numbers.get(name)
        example = f"{name}({number or options[0]}={part})"
        if number and re.fullmatch(_NUMBER, part):
            example = f"{name}{part} or {example}"
    return f"{example}{there}"


def _split_off_number(text: str, numbers: Mapping[str, str | None]) -> tuple[str, str]:
    """(name, number after it) where the name is one of those that are known; else (text, "")."""
    match = re.fullmatch(rf"(.*?)({_NUMBER})", text)
    if text in numbers or match is None or match[1] not in numbers:
        return text, ""
    return match[1], match[2]
