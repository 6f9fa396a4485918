"""Damage to files: bytes, lines and JSON values, changed as disks, editors and strangers change them."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

_DEEP = 100_000
DEEP_LIST = b"[" * _DEEP + b"]" * _DEEP
_INSERTED = st.sampled_from(
    [b"\xff\xfe", b"\x00", b"NaN", b"1e999", b"9" * 5000, b"-", b"{", b'"', b",", b",,", b"\n", b"\r", b"\x0b", b"nan",
     b'"a,b"', "\u2028٣".encode(), b"1_0", b"x" * 200_000, b"\\ud800", b"-0", b"1.5"]
)  # fmt: skip
_VALUES = st.sampled_from(
    [None, True, False, 0, -1, 1.5, 10**400, -(10**30), 1e308, float("nan"), float("-inf"), "", "nan", "a\nb", "\ud800",
     "x" * 1000, [], [1], [[]], ["a", None], {}, {"a": 1}, [1e400], [10**400, 1], "none", "digits", "--epochs=3"]
).map(copy.deepcopy)  # fmt: skip
# Copied, for they are changed in their turn.


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with one to three changes of bytes or lines."""
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(
            st.sampled_from(["flip", "truncate", "insert", "drop line", "repeat line", "deep", "empty"])
        )
        place = draw(st.integers(0, max(0, len(content) - 1)))
        if kind == "flip" and content:
            content = (
                content[:place] + bytes([content[place] ^ draw(st.integers(1, 255))]) + content[place + 1 :]
            )
        elif kind == "truncate":
            content = content[:place]
        elif kind == "insert":
            content = content[:place] + draw(_INSERTED) + content[place:]
        elif kind in ("drop line", "repeat line"):
            lines = content.splitlines(keepends=True)
            chosen = draw(st.integers(0, max(0, len(lines) - 1)))
            lines[chosen : chosen + 1] = lines[chosen : chosen + 1] * (0 if kind == "drop line" else 2)
            content = b"".join(lines)
        elif kind == "deep" and draw(st.integers(0, 9)) == 0:
            content = DEEP_LIST
        elif kind == "empty" and draw(st.integers(0, 9)) == 0:
            content = b""
    return content


@st.composite
def damaged_json(draw: st.DrawFn, content: bytes) -> bytes:
    """A JSON file in which up to three values are others, missing or additional; or one with other bytes."""
    if draw(st.integers(0, 2)) == 0:
        return draw(damaged_bytes(content))
    value = copy.deepcopy(json.loads(content))
    for _ in range(draw(st.integers(1, 3))):
        value = _changed(draw, value)
    return json.dumps(value).encode()


def _changed(draw: st.DrawFn, value: Any) -> Any:
    """One value within `value`, or all of it, changed."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 9)) == 0:
        return draw(_VALUES)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = draw(st.sampled_from(keys))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        del value[key]
    elif kind == 1 and isinstance(value, dict):
        value[draw(st.text(max_size=4))] = draw(_VALUES)
    else:
        value[key] = _changed(draw, value[key])
    return value
