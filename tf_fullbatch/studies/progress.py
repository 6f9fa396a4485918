"""The progress of a study: a line when a run begins and ends, and on a terminal one line that is redrawn."""

import time
from collections.abc import Callable, Sequence
from typing import TextIO

from tf_fullbatch.display.progress import StatusLine
from tf_fullbatch.display.text import format_duration
from tf_fullbatch.studies.planned_runs import Run


class StudyProgress:
    """Shows how much of a study's work is done, and when it will be.

    Work is counted in gradient evaluations where the data sets' sizes are known, else in gradient evaluations per
    sample. The time left follows from the pace of this process' own runs, start-up and evaluations included.

    Args:
        runs: All runs of the study.
        stream: Where to write, such as `sys.stderr`.
        clock: Monotonic seconds.
        whole: What the runs are together, in a word.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
        whole: str = "Study",
    ):
        self._whole_name = whole
        self._runs = list(runs)
        self._stream = stream
        self._clock = clock
        known = all(run.cost.total is not None for run in runs)
        self._work = {run: float(_work(run, known)) for run in runs}
        self._given_up: set[Run] = set()
        self._active: Sequence[Run] = ()
        self._begun = clock()
        self._done_before = self._done()
        self._line: StatusLine | None = None
        if stream.isatty():
            self._line = StatusLine(self._text, None, stream, seconds=1.0, clock=clock, leave=False)

    def message(self, text: str) -> None:
        """Prints a line of its own."""
        if self._line is not None:
            self._line.message(text)
        else:
            self._stream.write(text + "\n")
            self._stream.flush()

    def begun(self, run: Run) -> None:
        """A run was started."""
        self.message(f"[{self._runs.index(run) + 1}/{len(self._runs)}] {run}")

    def give_up(self, run: Run) -> None:
        """What is left of a run is not to be done any more."""
        self._work[run] *= run.fraction()
        self._given_up.add(run)

    def ended(self, run: Run, how: str, *, failed: bool = False) -> None:
        """A run ended; what is left of a failed one is not to be done any more."""
        if failed:
            self.give_up(run)
        self.message(f"[{self._runs.index(run) + 1}/{len(self._runs)}] {run}: {how}. {self._whole()}")

    def update(self, active: Sequence[Run]) -> None:
        """Redraws the line on a terminal, at most once a second."""
        self._active = active
        if self._line is not None:
            self._line.show(0)

    def close(self) -> None:
        """Removes the redrawn line."""
        if self._line is not None:
            self._line.close()

    def _done(self) -> float:
        return sum(
            work * (1 if run in self._given_up else run.fraction()) for run, work in self._work.items()
        )

    def _text(self) -> str:
        return " | ".join([self._whole(), *(f"{run} {int(100 * run.fraction())}%" for run in self._active)])

    def _whole(self) -> str:
        done, total = self._done(), sum(self._work.values())
        text = f"{self._whole_name} {int(100 * done / total) if total else 100}%"
        seconds, here = self._clock() - self._begun, done - self._done_before
        if here > 0 and done < total:
            text += f", ETA {format_duration(seconds / here * (total - done))}"
        return text


def _work(run: Run, known: bool) -> int:
    total = run.cost.total if known else run.cost.per_sample
    assert total is not None
    return total
