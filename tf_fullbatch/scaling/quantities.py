"""Numbers with units, as --cluster has them: 10Gbit, 50us, 1000h, 5%, 2TB."""

import re

from tf_fullbatch.errors import UserError

UNITS: dict[str, dict[str, float]] = {
    "rate": {
        **{f"{prefix}bit": 10.0**power / 8 for prefix, power in (("k", 3), ("M", 6), ("G", 9), ("T", 12))},
        **{f"{prefix}B": 10.0**power for prefix, power in (("k", 3), ("M", 6), ("G", 9), ("T", 12))},
    },
    "time": {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0},
    "share": {"": 1.0, "%": 0.01},
    "memory": {f"{prefix}B": 10.0**power for prefix, power in (("M", 6), ("G", 9), ("T", 12))},
    "count": {"": 1.0},
}
"""Kind of quantity -> unit -> its size: bytes per second, seconds, 1, bytes, 1."""

EXAMPLES_OF = {
    "rate": "10Gbit or 25GB, per second",
    "time": "50us, 5m or 1000h",
    "share": "0.05 or 5%",
    "memory": "512GB or 2TB",
    "count": "112",
}
"""Kind of quantity -> what to write."""


def quantity(given: str, kind: str, text: str) -> float:
    """A number with its unit, in bytes per second, seconds, bytes, or as a fraction or a number; `inf` of a rate or a
    time needs none.

    Args:
        given: What it is part of, to begin errors with.
        kind: A key of `UNITS`.
        text: The number with its unit.

    Raises:
        UserError: It is none, has no unit of that kind, or is not positive (a share may be 0).
    """
    units = UNITS[kind]
    if text == "inf" and kind in ("rate", "time"):
        return float("inf")
    match = re.fullmatch(r"(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)([A-Za-z%]*)(?:/s)?", text)
    if match is None or match[2] not in units:
        named = ", ".join(unit or "none" for unit in units)
        raise UserError(f"{given}: give a number with its unit ({named}), such as {EXAMPLES_OF[kind]}.")
    value = float(match[1]) * units[match[2]]
    if value == 0 and kind != "share":
        raise UserError(f"{given}: it must be above 0.")
    return value
