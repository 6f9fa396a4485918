"""Options of a part: `key=value,key=value`, as `--model_options` and its like have them."""

import ast
from collections.abc import Callable, Mapping
from typing import Any

from tf_fullbatch.errors import UserError


def parsed_options(setting: str, text: str | None, *, dotted: bool = False) -> dict[str, Any]:
    """The options that `--SETTING_options` has: `key=value,key=value`.

    A value is a Python literal (`3`, `0.1`, `True`, `None`, `[1, 2]`, `'a, b'`) or, where it is none, text. Commas
    within quotes and brackets belong to the value.

    Args:
        setting: Which.
        text: The options; None for none.
        dotted: Whether keys may have parts, `part.key`.

    Raises:
        UserError: Something is no option, or comes twice.
    """
    return keys_and_values(f"--{setting}_options={text}", text or "", dotted=dotted)


def keys_and_values(
    given: str,
    text: str,
    *,
    dotted: bool = False,
    instead: Callable[[str], str] = lambda part: "key=value,key=value",
) -> dict[str, Any]:
    """`key=value,key=value` as `parsed_options` has it, wherever it stands.

    Args:
        given: What it is part of, to begin errors with: `--SETTING=TEXT`.
        text: The options.
        dotted: Whether keys may have parts, `part.key`.
        instead: What to give in the place of a part that is no option.

    Raises:
        UserError: Something is no option, or comes twice.
    """
    found: dict[str, Any] = {}
    for part in split_at_commas(given, text):
        key, equals, value = part.partition("=")
        key = key.strip()
        names = key.split(".") if dotted else [key]
        if not equals or not all(name.isidentifier() for name in names):
            raise UserError(f"{given}: {part.strip()!r} is no key=value. Give {instead(part.strip())}.")
        if key in found:
            raise UserError(f"{given}: {key} comes twice.")
        found[key] = _literal(value.strip())
    return found


def options_text(setting: str, options: Mapping[str, Any]) -> str:
    """The inverse of `parsed_options`; NumPy's numbers and arrays become Python's.

    Raises:
        UserError: A value that no text can say.
    """
    values = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in options.items()}
    text = ",".join(f"{key}={value!r}" for key, value in values.items())
    for key, value in values.items():
        try:
            same = ast.literal_eval(repr(value)) == value
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            same = False
        if not same:
            raise UserError(
                f"--{setting}_options has {key}={value!r}, which is no number, text, list or dictionary of such: give "
                "it within the function."
            )
    return text


def split_at_commas(given: str, text: str) -> list[str]:
    """The parts between commas that stand outside of quotes and brackets.

    Args:
        given: What the text is part of, to begin errors with.
        text: The text.

    Raises:
        UserError: A quote or bracket is not closed.
    """
    parts, depth, quote, start, escaped = [], 0, "", 0, False
    for i, char in enumerate(text):
        if escaped:
            escaped = False
        elif quote:
            escaped = char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    if quote or depth:
        raise UserError(f"{given}: a quote or bracket is not closed.")
    parts.append(text[start:])
    return [part for part in parts if part.strip()]


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
