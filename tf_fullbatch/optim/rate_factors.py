"""Factors on the learning rate of some weights: `PATTERN=FACTOR,PATTERN=FACTOR`."""

import math
import re
from collections.abc import Mapping, Sequence

from tf_fullbatch.errors import UserError


def parsed_factors(text: str | None) -> list[tuple[re.Pattern, float]]:
    """(pattern, factor) of each entry, in order.

    Raises:
        UserError: An entry that is no PATTERN=FACTOR.
    """
    found = []
    for entry in (text or "").split(","):
        if not entry.strip():
            continue
        pattern, equals, factor = entry.strip().rpartition("=")
        try:
            number = float(factor)
            found.append((re.compile(pattern), number))
        except (ValueError, re.error) as error:
            raise _refused(text, entry, str(error)) from error
        if not (equals and pattern and math.isfinite(number) and number >= 0):
            raise _refused(text, entry, "a factor is 0 or more")
    return found


def factors_text(factors: Mapping[str, float]) -> str:
    """Pattern -> factor as the setting has it."""
    return ",".join(f"{pattern}={factor}" for pattern, factor in factors.items())


def rate_factors(text: str | None, paths: Sequence[str]) -> list[float]:
    """The factor of each weight: that of the first pattern which is found in its path; 1 where none is.

    Args:
        text: The setting.
        paths: Of the trainable weights, such as "conv_1/kernel".

    Raises:
        UserError: An entry that cannot be, or that no weight has been waiting for.
    """
    entries = parsed_factors(text)
    chosen = [
        next((i for i, (pattern, _) in enumerate(entries) if pattern.search(path)), None) for path in paths
    ]
    for i, (pattern, _) in enumerate(entries):
        if i not in chosen:
            shown = ", ".join(paths[:20]) + (", ..." if len(paths) > 20 else "")
            raise UserError(
                f"--learning_rate_factors={text}: {pattern.pattern!r} is the first to be found in no weight's path; "
                f"the trainable weights are {shown}."
            )
    return [1.0 if i is None else entries[i][1] for i in chosen]


def _refused(text: str | None, entry: str, why: str) -> UserError:
    return UserError(
        f"--learning_rate_factors={text}: {entry.strip()!r} is no PATTERN=FACTOR ({why}). Give a regular expression "
        "that is found in the paths of weights, and a number, such as backbone/.*=0.1."
    )
