"""What a logger is given, once, and what happens where it fails."""

import tempfile
import unittest
from pathlib import Path

from tests.display.loggers.fakes import kept_logger, logged
from tf_fullbatch.display.loggers.base import LoggedRun
from tf_fullbatch.display.loggers.sink import LoggerSink
from tf_fullbatch.errors import Outcome, RunInterruptedError


def step(number: int, **more: float) -> dict:
    return {
        "step": number,
        "epoch": float(number),
        "loss": 1 / number,
        "accuracy": None,
        "clipped": 1,
        **more,
    }


def evaluation(number: int, weights: str = "raw") -> dict:
    return {
        "step": number,
        "epoch": float(number),
        "split": "test",
        "weights": weights,
        "loss": 2.0,
        "samples": 7,
    }


class LoggerSinkTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.said: list[str] = []

    def sink(self, kind: type) -> LoggerSink:
        run = LoggedRun(folder=self.folder, settings={"seed": 0})
        return LoggerSink("kept", kind(), run, self.folder / "kept.json", self.said.append)

    def test_names_are_those_of_the_tables(self) -> None:
        kind = kept_logger()
        sink = self.sink(kind)
        sink.write_steps([step(1), step(2)])
        sink.write_evaluation(evaluation(2))
        sink.write_evaluation(evaluation(2, "ema"))
        sink.close(Outcome.COMPLETED)
        sink.close(Outcome.COMPLETED)
        both = {"epoch": 2.0, "loss": 2.0, "samples": 7.0}
        expected = {(k, f"train/{name}"): v for k in (1, 2) for name, v in step(k).items() if name != "step"}
        expected = {key: value for key, value in expected.items() if value is not None}
        expected |= {
            (2, f"{run}/{name}"): value for run in ("test", "test-ema") for name, value in both.items()
        }
        self.assertEqual(expected, logged(kind))
        self.assertEqual(
            [("finish", Outcome.COMPLETED)], [call for call in kind.calls if call[0] == "finish"]
        )

    def test_a_resumed_run_goes_on_with_its_id_and_repeats_nothing(self) -> None:
        first, second = kept_logger(), kept_logger()
        sink = self.sink(first)
        sink.write_steps([step(1), step(2), step(3)])
        sink.write_evaluation(evaluation(2))
        sink.close(Outcome.INTERRUPTED)
        sink = self.sink(second)
        sink.write_steps([step(2), step(3), step(4)])
        sink.write_evaluation(evaluation(2))
        sink.write_evaluation(evaluation(4))
        sink.close(Outcome.COMPLETED)
        self.assertEqual(("begin", self.folder.name, "id-1"), second.calls[0])
        self.assertEqual({4}, {number for number, _ in logged(second)})
        self.assertIn((4, "test/loss"), logged(second))

    def test_a_killed_process_repeats_what_came_after_its_last_flush(self) -> None:
        first, second = kept_logger(), kept_logger()
        sink = self.sink(first)
        sink.write_steps([step(1)])
        sink.flush()
        sink.write_steps([step(2)])
        sink = self.sink(second)
        sink.write_steps([step(2)])
        self.assertEqual({2}, {number for number, _ in logged(second)})

    def test_steps_within_an_epoch_are_thinned_out(self) -> None:
        kind = kept_logger()
        self.sink(kind).write_steps([step(k, epoch=k / 200) for k in range(1, 201)])
        self.assertEqual(list(range(4, 201, 4)), sorted({number for number, _ in logged(kind)}))

    def test_a_failure_is_said_once_and_the_logger_left_alone(self) -> None:
        for method in ("begin", "log", "flush", "finish"):
            with self.subTest(method):
                self.said.clear()
                kind = kept_logger(fails_in=method)
                sink = self.sink(kind)
                for number in (1, 2):
                    sink.write_steps([step(number)])
                    sink.write_evaluation(evaluation(number))
                    sink.flush()
                sink.close(Outcome.COMPLETED)
                (line,) = self.said
                self.assertRegex(
                    line, r"^warning: --loggers=kept failed .*\(ConnectionError: nobody answers\)"
                )
                self.assertEqual(method, kind.calls[-1][0])
                self.assertEqual(1, [call[0] for call in kind.calls].count(method))
                (self.folder / "kept.json").unlink(missing_ok=True)

    def test_an_interruption_is_no_failure_of_the_logger(self) -> None:
        def interrupted(*_: object) -> None:
            raise RunInterruptedError("SIGTERM")

        kind = kept_logger()
        sink = self.sink(kind)
        kind.log = interrupted
        with self.assertRaises(RunInterruptedError):
            sink.write_steps([step(1)])
        self.assertEqual([], self.said)


if __name__ == "__main__":
    unittest.main()
