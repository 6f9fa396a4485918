"""How much goes into one call of a compiled loop: about a quarter of a second, so that a run answers signals."""

import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tf_fullbatch.core.passes import Place

_CALL_SECONDS = 0.25
_GROWTH = 8


class Pace:
    """Chooses the rounds of the next call from how long the last ones took.

    The first call counts for nothing: it is traced, and compiled.

    Args:
        fixed: Rounds of every call; None to choose.
    """

    def __init__(self, fixed: int | None = None):
        self._fixed = fixed
        self._calls = 0
        self._rounds = 1

    @property
    def is_fixed(self) -> bool:
        """Whether every call has the same rounds."""
        return self._fixed is not None

    @property
    def rounds(self) -> int:
        """Rounds of the next call, at least 1."""
        return self._rounds if self._fixed is None else self._fixed

    def calls(self, held: Any, step: int, begin: int, end: int) -> Iterator[tuple[Any, Place]]:
        """What rounds begin <= i < end of a step are cut into: (held, place) of each call, which is timed."""
        while begin < end:
            until = min(begin + self.rounds, end)
            started = time.perf_counter()
            yield held, Place(*(tf.constant(n, tf.int32) for n in (step, begin, until)))
            self.took(until - begin, time.perf_counter() - started)
            begin = until

    def took(self, rounds: int, seconds: float) -> None:
        """Notes that a call of so many rounds took so long."""
        self._calls += 1
        if self._calls > 1 and rounds:
            wanted = int(_CALL_SECONDS * rounds / max(seconds, 1e-6))
            self._rounds = max(1, min(wanted, _GROWTH * rounds))
