"""The building block of the configuration: documented dataclass fields with the range they accept.

A field's default, help text and range are written once, here; flags, checks and documentation read them.
"""

import dataclasses
import math
from typing import Any

from tf_fullbatch.outcomes import UserError


def setting(
    default: Any,
    help_text: str,
    *,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    maximum: float | None = None,
    decides: bool = True,
) -> Any:
    """A dataclass field with documentation and a range.

    Args:
        default: The value where nothing is said.
        help_text: One or two sentences with the unit and, where there is one, the source.
        choices: Accepted strings; empty for no restriction.
        minimum: Smallest accepted number.
        above: Numbers must be larger than this.
        below: Numbers must be smaller than this.
        maximum: Largest accepted number.
        decides: Whether the field decides a run's results, so that a resumed run must have the same value.
    """
    metadata = {
        "help": help_text,
        "choices": choices,
        "minimum": minimum,
        "above": above,
        "below": below,
        "maximum": maximum,
        "decides": decides,
    }
    return dataclasses.field(default=default, metadata=metadata)


def check_ranges(group: Any) -> None:
    """Checks every field of a dataclass made with `setting` against its own range.

    Raises:
        UserError: Names the field as a flag, what came and what is accepted.
    """
    for field in dataclasses.fields(group):
        value = getattr(group, field.name)
        problem = _problem(field, value)
        if problem:
            raise UserError(f"--{field.name}={value}: {problem}.")


def _problem(field: dataclasses.Field, value: Any) -> str | None:
    limits = field.metadata
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        if limits["choices"] and value not in limits["choices"]:
            return f"accepted are {', '.join(limits['choices'])}"
        return None
    for number in value if isinstance(value, tuple) else (value,):
        if not isinstance(number, int | float) or not math.isfinite(number):
            return "must be a finite number"
        if limits["minimum"] is not None and number < limits["minimum"]:
            return f"must be at least {limits['minimum']}"
        if limits["above"] is not None and number <= limits["above"]:
            return f"must be above {limits['above']}"
        if limits["below"] is not None and number >= limits["below"]:
            return f"must be below {limits['below']}"
        if limits["maximum"] is not None and number > limits["maximum"]:
            return f"must be at most {limits['maximum']}"
    return None
