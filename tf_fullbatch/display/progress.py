"""The progress of a run: one line redrawn in place on a terminal, plain lines now and then in a log."""

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from tqdm import tqdm

from tf_fullbatch.display.text import format_count, format_duration
from tf_fullbatch.records.columns import Record

_LOG_SECONDS = 10.0
_LOG_FRACTION = 0.05
_LOG_SILENCE_SECONDS = 600.0

_QUANTITIES: tuple[tuple[str, Callable[[float], str]], ...] = (
    ("loss", "loss {:.4f}".format),
    ("accuracy", lambda accuracy: f"acc {100 * accuracy:.2f}%"),
    ("gradient_norm", "|g| {:.3g}".format),
    ("images_per_second", lambda speed: f"{format_count(speed)} images/s"),
    ("learning_rate", "lr {:.3g}".format),
)


class StatusLine(tqdm):
    """One line redrawn in place on a terminal: a text, cut to its width, and a bar in the room that is left.

    Args:
        text: Gives the text, asked for when the line is drawn.
        total: Where the bar is full; None for no bar.
        stream: The terminal.
        seconds: The least time between two drawings.
        clock: Monotonic seconds.
        leave: Whether the line stays when it is closed.
    """

    monitor_interval = 0  # no thread that redraws

    def __init__(
        self,
        text: Callable[[], str],
        total: float | None,
        stream: TextIO,
        *,
        seconds: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
        leave: bool = True,
    ):
        self._text = text
        super().__init__(
            total=total,
            file=stream,
            mininterval=seconds,
            miniters=0,
            bar_format="{desc}" if total is None else "{desc} {bar}",
            leave=leave,
            position=0,
            smoothing=0,
            delay=1.0,  # nothing is drawn before the first `show`
        )
        self._time, self.delay = clock, 0
        self.start_t = clock()
        self.last_print_t = -float("inf")

    @property
    def format_dict(self) -> dict[str, Any]:
        """What tqdm draws."""
        return super().format_dict | {"prefix": self._text(), "ncols": _width(self.fp) - 1}

    def show(self, done: float, *, at_once: bool = False) -> None:
        """Moves the bar to `done`, and draws the line where that is due, or at once."""
        self.n = done
        if at_once:
            self.refresh()
            self.last_print_t = self._time()
        else:
            self.update(0)

    def message(self, text: str) -> None:
        """Prints `text` on lines of its own, above the line."""
        self.write(text, file=self.fp)


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return shutil.get_terminal_size().columns


StatusLine.set_lock(threading.RLock())  # messages come from other threads, never from other processes


class ProgressLine:
    """Shows step k of K with the time left, loss, accuracy, gradient norm, speed and learning rate.

    On a terminal: one line, redrawn in place at most ten times a second and cut to the terminal's width. Elsewhere: a
    plain line after the first step shown, after the last, and in between once 10 seconds and either 5 % of the steps
    or 10 minutes have passed.

    Args:
        total_steps: K.
        stream: Where to write, such as `sys.stderr`.
        initial_step: Steps already done by an earlier run that this one resumes.
        quiet: Show nothing at all, messages included.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        total_steps: int,
        stream: TextIO,
        *,
        initial_step: int = 0,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._total = total_steps
        self._stream = stream
        self._quiet = quiet
        self._clock = clock
        self._step = initial_step
        self._part_of_step = 0.0
        self._record: Record = {}
        self._evaluations: dict[str, str] = {}
        self._time_left = TimeLeft(initial_step, clock())
        self._line: StatusLine | None = None
        if not quiet and stream.isatty():
            self._line = StatusLine(self._text, total_steps, stream, clock=clock)
        self._logged_at: float | None = None
        self._logged_step = initial_step
        self._started_at = clock()
        self._finished_at: float | None = None

    def update(self, record: Record) -> None:
        """Shows a completed step; `record` has the keys of `STEP_COLUMNS`, of which `step` is needed."""
        self._step = int(record["step"] or 0)
        self._part_of_step = 0.0
        self._record = record
        self._time_left.step_done(self._step, self._clock())
        if self._step >= self._total:
            self._finished_at = self._clock()
        self._show()

    def evaluation(self, record: Record) -> None:
        """Shows an evaluation's accuracy from now on; `record` has the keys of `EVALUATION_COLUMNS`."""
        name = "val" if record["split"] == "validation" else str(record["split"])
        name += "" if record["weights"] == "raw" else f" {record['weights']}"
        if record.get("accuracy") is not None:
            self._evaluations[name] = f"{name} {100 * float(record['accuracy'] or 0):.2f}%"

    def update_chunk(self, rows_done: int, rows_total: int) -> None:
        """Shows how far the step under way is: samples done of samples in its update batch."""
        self._part_of_step = min(rows_done / rows_total, 1.0) if rows_total else 0.0
        self._show()

    def message(self, text: str) -> None:
        """Prints `text` on lines of its own, above the progress line."""
        if self._line is not None:
            self._line.message(text)
        elif not self._quiet:
            self._write(text)

    def close(self) -> None:
        """Leaves the line as it stands, up to date, and ends it; safe to call twice."""
        if self._line is not None:
            self._line.close()

    def _show(self) -> None:
        finished = self._finished_at is not None
        if self._line is not None:
            self._line.show(min(self._step + self._part_of_step, self._total), at_once=finished)
        elif not self._quiet and (finished or self._log_due(self._clock())):
            self._write(self._text())
            self._logged_at, self._logged_step = self._clock(), self._step

    def _log_due(self, now: float) -> bool:
        if self._logged_at is None and self._part_of_step == 0:
            return True
        silence = now - (self._started_at if self._logged_at is None else self._logged_at)
        advanced = self._step - self._logged_step >= _LOG_FRACTION * self._total and self._part_of_step == 0
        return silence >= _LOG_SILENCE_SECONDS or (silence >= _LOG_SECONDS and advanced)

    def _text(self) -> str:
        return " ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        """The pieces of the line, what is needed most first."""
        done = self._step + self._part_of_step
        shown = self._step + 1 if self._part_of_step else self._step
        percentage = int(100 * min(done / self._total, 1.0)) if self._total else 100
        yield f"step {shown:>{len(str(self._total))}}/{self._total} {percentage:3d}%"
        if self._part_of_step:
            yield f"({int(100 * self._part_of_step):3d}% of step)"
        left = self._time_left.seconds(self._total - done)
        if self._finished_at is not None:
            yield f"in {format_duration(self._finished_at - self._started_at)}"
        elif left is not None:
            yield f"ETA {format_duration(left)}"
        for name, text in _QUANTITIES[:2]:
            yield from self._quantity(name, text)
        yield from self._evaluations.values()
        for name, text in _QUANTITIES[2:]:
            yield from self._quantity(name, text)

    def _quantity(self, name: str, text: Callable[[float], str]) -> Iterator[str]:
        value = self._record.get(name)
        if value is not None:
            yield text(float(value))

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class TimeLeft:
    """Estimates the time left from the pace of the recent past, evaluations and checkpoints included.

    The pace is time over steps across a window of the last two minutes, or the last 20 steps where these took
    longer. The first step is left out of it: it compiles.
    """

    _SECONDS, _STEPS, _SPACING = 120.0, 20, 0.5

    def __init__(self, initial_step: int, now: float):
        self._first_step = initial_step + 1
        self._begun = now
        self._first_duration: float | None = None
        self._marks: deque[tuple[int, float]] = deque()
        self._latest = (initial_step, now)

    def step_done(self, step: int, now: float) -> None:
        """Notes that `step` was completed at clock time `now`."""
        if self._first_duration is None:
            self._first_duration = (now - self._begun) / max(step - self._first_step + 1, 1)
        self._latest = (step, now)
        if not self._marks or now - self._marks[-1][1] >= self._SPACING:
            self._marks.append(self._latest)
        while (
            len(self._marks) > 2
            and now - self._marks[1][1] > self._SECONDS
            and step - self._marks[1][0] >= self._STEPS
        ):
            self._marks.popleft()

    def seconds(self, steps_left: float) -> float | None:
        """Seconds for `steps_left` more steps; None before the first step is done."""
        if self._first_duration is None:
            return None
        steps = self._latest[0] - self._marks[0][0]
        # After one step its own duration, compilation included, is all there is to go by.
        pace = (self._latest[1] - self._marks[0][1]) / steps if steps else self._first_duration
        return pace * steps_left
