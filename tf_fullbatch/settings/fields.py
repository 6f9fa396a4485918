"""Documented dataclass fields with the range they accept.

A field's default, help text and range are written once, where it is declared; flags, checks and documentation read
them.
"""

import contextlib
import dataclasses
import difflib
import math
import numbers
import types
import typing
from dataclasses import dataclass
from typing import Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import part_names, part_options
from tf_fullbatch.settings.accepted_names import LISTED_BY, accepted_instead


def setting(
    default: Any,
    help_text: str,
    *,
    choices: tuple[str, ...] = (),
    or_code: bool = False,
    options: bool = False,
    minimum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    maximum: float | None = None,
    affects_results: bool = True,
    none_word: str = "none",
    repeated: bool = False,
    listed_by: str = LISTED_BY,
) -> Any:
    """A dataclass field with documentation and a range.

    Args:
        default: The value where nothing is said.
        help_text: One or two sentences with the unit and, where there is one, the source.
        choices: Accepted strings; empty for no restriction.
        or_code: Accept names of code too, see `part_names`.
        options: Of a text named X_options: it must be `key=value,key=value`, see `part_options`.
        minimum: Smallest accepted number.
        above: Numbers must be larger than this.
        below: Numbers must be smaller than this.
        maximum: Largest accepted number.
        affects_results: Whether a run's results depend on the field, so that a resumed run must have the same value.
        none_word: How the flag says None, where None is the default.
        repeated: Of a tuple of strings: each use of the flag adds an entry, commas and all.
        listed_by: The command that lists the choices, for a message where they are many.
    """
    metadata = {
        "help": help_text,
        "choices": choices,
        "or_code": or_code,
        "options": options,
        "minimum": minimum,
        "above": above,
        "below": below,
        "maximum": maximum,
        "affects_results": affects_results,
        "none_word": none_word,
        "repeated": repeated,
        "listed_by": listed_by,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Base of dataclasses of settings: every field is checked against its own range as soon as it is made.

    A subclass with a `__post_init__` of its own begins it by `check_ranges(self)`.

    Raises:
        UserError: A value is out of its field's range.
    """

    def __post_init__(self) -> None:
        check_ranges(self)


def is_setting(field: dataclasses.Field) -> bool:
    """Whether a field was made by `setting`, rather than holding other settings."""
    return "help" in field.metadata


def check_ranges(group: Any) -> None:
    """Checks every field of a dataclass made with `setting` against its own range.

    Raises:
        UserError: Names the field as a flag, what came and what is accepted.
    """
    for field in filter(is_setting, dataclasses.fields(group)):
        check_range(field, getattr(group, field.name))


def check_range(field: dataclasses.Field, value: Any) -> None:
    """Checks a value against the range of a field made with `setting`.

    Raises:
        UserError: Names the field as a flag, what came and what is accepted.
    """
    problem = _tuple_problem(field, value) or _type_problem(field.type, value) or _problem(field, value)
    if problem:
        raise UserError(
            f"--{field.name}={_shown(value)}: {problem}{'' if problem.endswith(('?', '.')) else '.'}"
        )
    if field.metadata["options"]:
        part_options.parsed_options(field.name.removesuffix("_options"), value)


def refuse_without_effect(group: Any, names: tuple[str, ...], reason: str) -> None:
    """Refuses settings that were given a value but would change nothing.

    Args:
        group: A dataclass made with `setting`.
        names: Fields that nothing reads.
        reason: Why, beginning a clause, such as "without --clip_norm".

    Raises:
        UserError: One of them is not at its default.
    """
    for field in dataclasses.fields(group):
        if field.name in names:
            refuse_value_without_effect(field, getattr(group, field.name), reason)


def refuse_value_without_effect(field: dataclasses.Field, value: Any, reason: str) -> None:
    """Refuses a value for a field that nothing reads, unless it is the field's default.

    Args:
        field: Made with `setting`.
        value: What it was given.
        reason: Why, beginning a clause, such as "with --optimizer=adamw".

    Raises:
        UserError: The value is another than the default.
    """
    if value != field.default:
        text = flag_text(field, field.default)
        default = f"at {text}" if text else "unset"
        raise UserError(
            f"--{field.name}={_shown(value)} has no effect {reason}: leave it {default}, its default."
        )


def flag_text(field: dataclasses.Field, value: Any) -> str:
    """A field's value as its flag takes it."""
    if value is None:
        return none_word(field) or ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(flag_text(field, item) for item in value)
    # As a whole number where it is one; else the shortest text that reads back as the same number.
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def none_word(field: dataclasses.Field) -> str | None:
    """How a flag says None; None where it cannot."""
    return field.metadata["none_word"] if field.default is None else None


def refuse_repeats(group: Any, names: tuple[str, ...]) -> None:
    """Refuses tuples in which a value comes twice.

    Args:
        group: A dataclass made with `setting`.
        names: Its fields of tuples without repeats.

    Raises:
        UserError: One of them has a value twice.
    """
    for name in names:
        given = getattr(group, name)
        if len(set(given)) != len(given):
            raise UserError(f"--{name}={_shown(given)}: a value comes twice; name each once.")


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


_KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((numbers.Integral,), "a whole number"),
    float: ((numbers.Real,), "a number"),
    str: ((str,), "text"),
}


def _tuple_problem(field: dataclasses.Field, value: Any) -> str | None:
    """Says by example what a tuple is, to a program that gives one value, or several as a flag takes them."""
    if typing.get_origin(field.type) is not tuple or isinstance(value, tuple):
        return None
    kind, entries = typing.get_args(field.type)[0], value.split(",") if isinstance(value, str) else [value]
    with contextlib.suppress(ValueError, TypeError):
        entries = [kind(entry) for entry in entries]
    return f"must be a tuple, such as {field.name}={tuple(entries)!r}"


def _type_problem(annotation: Any, value: Any) -> str | None:
    """What is wrong with a value's type; annotations are bool, int, float, str, tuples of them, or with None."""
    if isinstance(annotation, types.UnionType):
        if value is None:
            return None
        (annotation,) = (kind for kind in annotation.__args__ if kind is not types.NoneType)
    if typing.get_origin(annotation) is tuple:
        problems = [_type_problem(typing.get_args(annotation)[0], entry) for entry in value]
        return next((problem for problem in problems if problem), None)
    accepted, name = _KINDS[annotation]
    if not isinstance(value, accepted) or (isinstance(value, bool) and annotation is not bool):
        return f"must be {name}"
    return None


def _problem(field: dataclasses.Field, value: Any) -> str | None:
    limits = field.metadata
    if value is None or isinstance(value, bool):
        return None
    items = value if isinstance(value, tuple) else (value,)
    choices = limits["choices"]
    if choices:
        if not items:
            return None if field.default == () else f"name at least one of {', '.join(choices)}"
        others = [item for item in items if item not in choices]
        if limits["or_code"] and all(part_names.names_code(item) for item in others):
            return next((problem for problem in map(_no_text, others) if problem), None)
        if not others:
            return None
        code = part_names.ACCEPTED if limits["or_code"] else ""
        which = f"not {', '.join(map(str, others))}: " if len(items) > 1 else ""
        left = tuple(choice for choice in choices if choice not in items)
        return which + accepted_instead(choices, _near(others, left), code, limits["listed_by"])
    for number in items:
        if isinstance(number, str):
            if problem := _no_text(number):
                return problem
            continue
        if not _is_finite(number):
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


def _near(others: list[str], choices: tuple[str, ...]) -> list[str]:
    """The accepted values near those that are not, the nearest first."""
    near = [name for other in others for name in difflib.get_close_matches(str(other), choices)]
    return list(dict.fromkeys(near))


def _no_text(value: str) -> str | None:
    if value.isprintable():
        return None
    return "line ends, control characters and bytes that are no text are not accepted"


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond every float
        return False
