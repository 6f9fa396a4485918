"""The progress of a run: one line redrawn in place on a terminal, plain lines now and then in a log."""

import os
import shutil
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from tf_fullbatch.display.text import format_count, format_duration
from tf_fullbatch.records.columns import Record

_REDRAW_SECONDS = 0.1
_LOG_SECONDS = 10.0
_LOG_FRACTION = 0.05
_LOG_SILENCE_SECONDS = 600.0
_BAR_WIDTHS = (10, 24)

# In the order shown; the rank says how soon a quantity is left out on a narrow terminal.
_QUANTITIES: tuple[tuple[int, str, Callable[[float], str]], ...] = (
    (1, "loss", "loss {:.4f}".format),
    (2, "accuracy", lambda accuracy: f"acc {100 * accuracy:.2f}%"),
    (4, "gradient_norm", "|g| {:.3g}".format),
    (6, "learning_rate", "lr {:.3g}".format),
    (5, "images_per_second", lambda speed: f"{format_count(speed)} images/s"),
)


class ProgressLine:
    """Shows step k of K with loss, accuracy, gradient norm, learning rate, speed and time left.

    On a terminal: one line, redrawn in place at most ten times a second and cut to the terminal's width; the
    least needed parts go first when it is narrow. Elsewhere: a plain line after the first step shown, after
    the last, and in between once 10 seconds and either 5 % of the steps or 10 minutes have passed.

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
        self._terminal = not quiet and stream.isatty()
        self._glyphs = _bar_glyphs(stream)
        self._step = initial_step
        self._part_of_step = 0.0
        self._record: Record = {}
        self._evaluations: dict[str, str] = {}
        self._time_left = TimeLeft(initial_step, clock())
        self._drawn_width = 0
        self._drawn_at: float | None = None
        self._logged_at: float | None = None
        self._logged_step = initial_step
        self._started_at = clock()
        self._finished_at: float | None = None
        self._stale = False

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
        if self._quiet:
            return
        self._erase()
        self._write(text + "\n")
        if self._terminal and self._drawn_at is not None:
            self._draw()

    def close(self) -> None:
        """Leaves the line as it stands, up to date, and ends it; safe to call twice."""
        if self._terminal and self._drawn_at is not None:
            if self._stale:
                self._draw()
            self._write("\n")
            self._drawn_width, self._drawn_at = 0, None

    def _show(self) -> None:
        if self._quiet:
            return
        now = self._clock()
        finished = self._finished_at is not None
        if self._terminal:
            self._stale = True
            if finished or self._drawn_at is None or now - self._drawn_at >= _REDRAW_SECONDS:
                self._draw()
        elif finished or self._log_due(now):
            self._write(" ".join(text for _, text in self._parts()) + "\n")
            self._logged_at, self._logged_step = now, self._step

    def _log_due(self, now: float) -> bool:
        if self._logged_at is None and self._part_of_step == 0:
            return True
        silence = now - (self._started_at if self._logged_at is None else self._logged_at)
        advanced = self._step - self._logged_step >= _LOG_FRACTION * self._total and self._part_of_step == 0
        return silence >= _LOG_SILENCE_SECONDS or (silence >= _LOG_SECONDS and advanced)

    def _draw(self) -> None:
        width = _terminal_width(self._stream) - 1
        texts = fit(self._parts(), width)
        room = width - len(" ".join(texts)) - 1
        if room >= _BAR_WIDTHS[0]:
            texts.insert(1, self._bar(min(room, _BAR_WIDTHS[1])))
        line = " ".join(texts)[:width]
        self._write("\r" + line + " " * (self._drawn_width - len(line)))
        self._drawn_width, self._drawn_at, self._stale = len(line), self._clock(), False

    def _erase(self) -> None:
        if self._drawn_width:
            self._write("\r" + " " * self._drawn_width + "\r")
            self._drawn_width = 0

    def _parts(self) -> list[tuple[int, str]]:
        """The pieces of the line from left to right, each with a rank: the highest is left out first."""
        shown = self._step + 1 if self._part_of_step else self._step
        percentage = int(100 * self._fraction())
        parts = [(0, f"step {shown:>{len(str(self._total))}}/{self._total} {percentage:3d}%")]
        if self._part_of_step:
            parts.append((3, f"({int(100 * self._part_of_step):3d}% of step)"))
        for rank, name, text in _QUANTITIES:
            value = self._record.get(name)
            if value is not None:
                parts.append((rank, text(float(value))))
        parts += [(3, text) for text in self._evaluations.values()]
        left = self._time_left.seconds(self._total - self._step - self._part_of_step)
        if self._finished_at is not None:
            parts.append((0, f"in {format_duration(self._finished_at - self._started_at)}"))
        elif left is not None:
            parts.append((0, f"ETA {format_duration(left)}"))
        return parts

    def _fraction(self) -> float:
        return min((self._step + self._part_of_step) / self._total, 1.0) if self._total else 1.0

    def _bar(self, width: int) -> str:
        filled = int(width * self._fraction())
        return self._glyphs[0] * filled + self._glyphs[1] * (width - filled)

    def _write(self, text: str) -> None:
        self._stream.write(text)
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


def fit(parts: list[tuple[int, str]], width: int) -> list[str]:
    """The texts of `(rank, text)`, without those of the highest ranks that do not fit when joined by spaces.

    Rank 0 is never left out.
    """
    parts = list(parts)
    while len(" ".join(text for _, text in parts)) > width:
        worst = max(parts, key=lambda part: part[0])
        if worst[0] == 0:
            break
        parts.remove(worst)
    return [text for _, text in parts]


def _terminal_width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return shutil.get_terminal_size().columns


def _bar_glyphs(stream: TextIO) -> tuple[str, str]:
    try:
        "━─".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError, AttributeError):
        return "#", "."
    return "━", "─"
