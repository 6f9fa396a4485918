"""What the fault suite counts: faults of each kind and the time they took, for the table at its end."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class Kind:
    """Faults of one kind; seconds of several at a time are added up."""

    injected: int = 0
    failed: int = 0
    seconds: float = 0.0


kinds: dict[str, Kind] = {}
"""Name -> what was counted, in the order in which the kinds came up."""

_lock = threading.Lock()


@contextlib.contextmanager
def faults(kind: str, count: int = 1) -> Iterator[None]:
    """Counts faults of a kind, and their time; a block that raises has failed."""
    started, failed = time.monotonic(), 0
    try:
        yield
    except BaseException:
        failed = count
        raise
    finally:
        with _lock:
            entry = kinds.setdefault(kind, Kind())
            entry.injected += count
            entry.failed += failed
            entry.seconds += time.monotonic() - started


def table() -> list[str]:
    """The lines of the table."""
    rows = [("fault", "injected", "failed", "seconds")]
    rows += [
        (name, str(kind.injected), str(kind.failed), f"{kind.seconds:.0f}")
        for name, kind in sorted(kinds.items())
    ]
    total = [sum(getattr(kind, field) for kind in kinds.values()) for field in ("injected", "failed")]
    rows.append(("all", *map(str, total), f"{sum(kind.seconds for kind in kinds.values()):.0f}"))
    width = max(len(row[0]) for row in rows)
    return [f"{row[0]:<{width}}  {row[1]:>8}  {row[2]:>6}  {row[3]:>7}" for row in rows]
