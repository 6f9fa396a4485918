"""The progress of a run: one line redrawn in place on a terminal, plain lines now and then in a log."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm

from tf_fullbatch.display.text import format_count, format_duration, loss_texts
from tf_fullbatch.display.time_left import Recurring, TimeLeft
from tf_fullbatch.records.columns import Record

_LOG_SECONDS = 10.0
_LOG_FRACTION = 0.05
_LOG_SILENCE_SECONDS = 600.0

_QUANTITIES: dict[str, Callable[[float], str]] = {
    "accuracy": lambda accuracy: f"acc {100 * accuracy:.2f}%",
    "gradient_norm": "|g| {:.3g}".format,
    "images_per_second": lambda speed: f"{format_count(speed)} samples/s",
    "learning_rate": "lr {:.3g}".format,
}


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
    """Shows step k of K with the time left, evaluations, and figures of the step.

    They are cross-entropy, objective, accuracy, gradient norm, speed and learning rate.

    On a terminal: one line, redrawn in place at most ten times a second and cut to the terminal's width. Elsewhere: a
    plain line after the first step shown, after the last, and in between once 10 seconds and either 5 % of the steps
    or 10 minutes have passed.

    Args:
        total_steps: K.
        stream: Where to write, such as `sys.stderr`.
        initial_step: Steps already done by an earlier run that this one resumes.
        quiet: Show nothing at all, messages included.
        evaluations: The run's evaluations, for the time left; None for none.
        measurements: The run's measurements, alike.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        total_steps: int,
        stream: TextIO,
        *,
        initial_step: int = 0,
        quiet: bool = False,
        evaluations: Recurring | None = None,
        measurements: Recurring | None = None,
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
        self._time_left = TimeLeft(initial_step, total_steps, clock(), evaluations, measurements)
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
        """Shows an evaluation's accuracy, or its loss where there is none, from now on.

        `record` has the keys of `EVALUATION_COLUMNS`.
        """
        self._time_left.evaluated(float(record.get("seconds") or 0))
        name = "val" if record["split"] == "validation" else str(record["split"])
        name += "" if record["weights"] == "raw" else f" {record['weights']}"
        if record.get("accuracy") is not None:
            self._evaluations[name] = f"{name} {100 * float(record['accuracy'] or 0):.2f}%"
        else:
            self._evaluations[name] = " ".join([name, *loss_texts(record, ".4f")])

    def measured(self, seconds: float, in_steps: float) -> None:
        """Notes a measurement, for the time left: its duration, and how many steps cost as much."""
        self._time_left.measured(seconds, in_steps)

    def update_part(self, rounds_done: int, rounds: int) -> None:
        """Shows how far the step under way is: rounds done of the rounds it has."""
        self._part_of_step = min(rounds_done / rounds, 1.0) if rounds else 0.0
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
        """The line, what is needed most first."""
        done = self._step + self._part_of_step
        shown = self._step + 1 if self._part_of_step else self._step
        percentage = int(100 * min(done / self._total, 1.0)) if self._total else 100
        parts = [f"step {shown:>{len(str(self._total))}}/{self._total} {percentage:3d}%"]
        if self._part_of_step:
            parts.append(f"({int(100 * self._part_of_step):3d}% of step)")
        left = self._time_left.seconds(self._total - done)
        if self._finished_at is not None:
            parts.append(f"in {format_duration(self._finished_at - self._started_at)}")
        elif left is not None:
            parts.append(f"ETA {format_duration(left)}")
        parts += self._evaluations.values()
        measured = [(text, self._record.get(name)) for name, text in _QUANTITIES.items()]
        parts += loss_texts(self._record, ".4f")
        return " ".join(parts + [text(float(value)) for text, value in measured if value is not None])

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
