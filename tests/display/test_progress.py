"""The progress line with a clock and a terminal made for the test."""

import io
import os
import re
import unittest
from unittest import mock

from tf_fullbatch.display.progress import ProgressLine


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def screen(text: str) -> list[str]:
    """What a terminal shows after `text`: carriage returns overwrite."""
    lines = [""]
    for piece in re.split(r"(\n)|\r", text):
        if piece == "\n":
            lines.append("")
        elif piece:
            lines[-1] = piece + lines[-1][len(piece) :]
    return [line.rstrip() for line in lines]


def record(step: int, **more: float) -> dict[str, float]:
    values = {"loss": 0.5, "accuracy": 0.9385, "gradient_norm": 0.25, "learning_rate": 0.4}
    return {"step": step, **values, "images_per_second": 61234.0, **more}


class ProgressTest(unittest.TestCase):
    def setUp(self):
        self.clock = Clock()
        columns = mock.patch.dict(os.environ, {"COLUMNS": "120"})
        columns.start()
        self.addCleanup(columns.stop)

    def run_steps(self, progress: ProgressLine, steps: range, seconds: float) -> None:
        for step in steps:
            self.clock.now += seconds
            progress.update(record(step))


class TerminalTest(ProgressTest):
    def setUp(self):
        super().setUp()
        self.stream = Terminal()

    def test_one_line_in_place(self):
        progress = ProgressLine(10, self.stream, clock=self.clock)
        self.run_steps(progress, range(1, 11), 2.0)
        progress.close()
        progress.close()
        line = "step 10/10 100% in 20s objective 0.5000 acc 93.85% |g| 0.25 61.2k samples/s lr 0.4 "
        line += "█" * (119 - len(line))
        self.assertEqual(screen(self.stream.getvalue()), [line, ""])
        self.assertEqual(self.stream.getvalue().count("\n"), 1)

    def test_time_left_leaves_out_the_first_step(self):
        progress = ProgressLine(100, self.stream, clock=self.clock)
        self.run_steps(progress, range(1, 2), 60.0)
        self.run_steps(progress, range(2, 11), 2.0)
        self.assertIn("ETA 3m00s", screen(self.stream.getvalue())[0])

    def test_time_left_does_not_climb_while_a_run_starts_up(self):
        progress = ProgressLine(100, self.stream, clock=self.clock)
        left = []
        for step, seconds in enumerate((60.0, *[2.0] * 30), start=1):
            self.run_steps(progress, range(step, step + 1), seconds)
            if step > 1:
                left.append(progress._time_left.seconds(100 - step))
        self.assertEqual(left, sorted(left, reverse=True))

    def test_at_most_ten_redraws_a_second_but_the_end_is_drawn(self):
        progress = ProgressLine(1000, self.stream, clock=self.clock)
        self.run_steps(progress, range(1, 1001), 0.001)
        self.assertLessEqual(self.stream.getvalue().count("\r"), 12)
        self.assertIn("step 1000/1000 100%", screen(self.stream.getvalue())[0])

    def test_close_draws_what_was_held_back(self):
        progress = ProgressLine(1000, self.stream, clock=self.clock)
        self.run_steps(progress, range(1, 8), 0.001)
        self.assertIn("step    1/1000", screen(self.stream.getvalue())[0])
        progress.close()
        self.assertIn("step    7/1000", screen(self.stream.getvalue())[0])

    def test_chunks_of_a_long_step(self):
        progress = ProgressLine(4, self.stream, clock=self.clock)
        self.run_steps(progress, range(1, 3), 10.0)
        self.clock.now += 5
        progress.update_part(25000, 50000)
        shown = screen(self.stream.getvalue())[0]
        self.assertRegex(
            shown, r"^step 3/4  62% \( 50% of step\) ETA 15s objective 0.5000 .* lr 0.4 ██+[^█ ]? *$"
        )

    def test_never_wider_than_the_terminal_and_the_step_stays(self):
        for columns in (5, 20, 40, 60, 80, 200):
            with mock.patch.dict(os.environ, {"COLUMNS": str(columns)}):
                stream = Terminal()
                progress = ProgressLine(3000, stream, clock=self.clock)
                self.run_steps(progress, range(1, 5), 1.0)
                progress.update_part(1, 2)
                widest = max(len(line) for line in re.split("[\r\n]", stream.getvalue()))
                self.assertLess(widest, columns)
                self.assertTrue("step    4/3000".startswith(screen(stream.getvalue())[0][:14][:columns]))

    def test_message_stands_above_the_line(self):
        progress = ProgressLine(3, self.stream, clock=self.clock)
        progress.message("resumed")
        self.run_steps(progress, range(1, 3), 1.0)
        progress.message("step 2: validation accuracy 90.00 %")
        lines = screen(self.stream.getvalue())
        self.assertEqual(lines[:2], ["resumed", "step 2: validation accuracy 90.00 %"])
        self.assertIn("step 2/3", lines[2])

    def test_plain_characters_where_the_encoding_has_no_others(self):
        stream = Terminal()
        stream.encoding = "ascii"
        ProgressLine(2, stream, clock=self.clock).update(record(1))
        stream.getvalue().encode("ascii")
        self.assertRegex(stream.getvalue(), "##[0-9]? +$")

    def test_blank_quantities_are_left_out(self):
        ProgressLine(2, self.stream, clock=self.clock).update(
            {"step": 1, "loss": float("nan"), "accuracy": None}
        )
        self.assertRegex(screen(self.stream.getvalue())[0], r"^step 1/2  50% objective nan █+.? *$")

    def test_quiet_writes_nothing(self):
        progress = ProgressLine(2, self.stream, quiet=True, clock=self.clock)
        self.run_steps(progress, range(1, 3), 1.0)
        progress.update_part(1, 2)
        progress.message("x")
        progress.close()
        self.assertEqual(self.stream.getvalue(), "")


class LogTest(ProgressTest):
    def setUp(self):
        super().setUp()
        self.stream = io.StringIO()

    def shown_steps(self) -> list[int]:
        lines = self.stream.getvalue().splitlines()
        return [int(found.group(1)) for line in lines if (found := re.match(r"step +(\d+)/", line))]

    def test_first_last_and_every_twentieth_of_slow_steps(self):
        progress = ProgressLine(100, self.stream, clock=self.clock)
        self.run_steps(progress, range(1, 101), 20.0)
        progress.close()
        self.assertEqual(self.shown_steps(), [*range(1, 100, 5), 100])
        self.assertNotRegex(self.stream.getvalue(), r"[^\n -~]")

    def test_fast_steps_are_ten_seconds_apart(self):
        progress = ProgressLine(100, self.stream, clock=self.clock)
        self.run_steps(progress, range(1, 101), 1.0)
        self.assertEqual(self.shown_steps(), [*range(1, 100, 10), 100])

    def test_never_silent_for_longer_than_ten_minutes_of_steps(self):
        progress = ProgressLine(3000, self.stream, clock=self.clock)
        self.run_steps(progress, range(1, 31), 60.0)
        self.assertEqual(self.shown_steps(), [1, 11, 21])

    def test_resumed_run_begins_where_it_resumes(self):
        progress = ProgressLine(100, self.stream, initial_step=90, clock=self.clock)
        progress.message("resumed after step 90")
        self.run_steps(progress, range(91, 101), 20.0)
        self.assertEqual(self.stream.getvalue().splitlines()[0], "resumed after step 90")
        self.assertEqual(self.shown_steps(), [91, 96, 100])
        self.assertRegex(self.stream.getvalue().splitlines()[-1], "^step 100/100 100% in 3m20s .*$")

    def test_chunks_are_silent_until_ten_minutes_have_passed(self):
        progress = ProgressLine(2, self.stream, clock=self.clock)
        for done in range(1, 12):
            self.clock.now += 60
            progress.update_part(done, 20)
        self.assertEqual(self.stream.getvalue(), "step 1/2  25% ( 50% of step)\n")


if __name__ == "__main__":
    unittest.main()
