"""Parts in the order in which they act, each with its options: `centralize,adaptive_clip(threshold=0.01)`."""

from typing import Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.part_options import keys_and_values, split_at_commas


def parsed_parts(setting: str, text: str | None) -> dict[str, dict[str, Any]]:
    """Name -> options of each part, in their order.

    Values are as in `part_options.parsed_options`.

    Args:
        setting: Which has them.
        text: `NAME,NAME(key=value,...)`; None for none.

    Raises:
        UserError: Something is no part, a part comes twice, or the text names none.
    """
    if text is None:
        return {}
    given = f"--{setting}={text}"
    found: dict[str, dict[str, Any]] = {}
    for part in split_at_commas(given, text):
        name, bracket, rest = part.strip().partition("(")
        name = name.strip()
        if not name.isidentifier() or (bracket and not rest.endswith(")")):
            raise UserError(f"{given}: {part.strip()!r} is no part. Give NAME,NAME(key=value,...).")
        if name in found:
            raise UserError(f"{given}: {name} comes twice; name each once.")
        found[name] = keys_and_values(given, rest[:-1])
    if not found:
        raise UserError(f"{given}: it names nothing. Give NAME,NAME(key=value,...), or leave it out.")
    return found
