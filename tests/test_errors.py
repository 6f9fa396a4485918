"""Errors: one line, in the words of whoever reads it, and Ctrl-C as Python programs know it."""

import unittest

import tf_fullbatch
from tf_fullbatch.errors import (
    Outcome,
    RunInterrupt,
    RunInterruptedError,
    UserError,
    in_flags_words,
    in_pythons_words,
)


@in_pythons_words()
def fails(error: Exception) -> None:
    raise error


class WordsTest(unittest.TestCase):
    def test_a_message_is_one_line_without_colours(self) -> None:
        self.assertEqual(str(UserError("\x1b[1mAn\x1b[0m end\nand\x07")), r"An end\nand\x07")

    def test_pythons_words(self) -> None:
        with self.assertRaises(UserError) as caught:
            fails(UserError("--hparams=a: there is none (--help lists all). Lower --clip_norm."))
        expected = "hparams=a: there is none (python -m tf_fullbatch.main --help lists all). Lower clip_norm."
        self.assertEqual(str(caught.exception), expected)


class OutcomeTest(unittest.TestCase):
    def test_what_is_finished_exits_with_0_and_nothing_else_does(self) -> None:
        for outcome in Outcome:
            self.assertEqual(outcome.is_finished, outcome.exit_code == 0, outcome)


class InterruptTest(unittest.TestCase):
    def test_ctrl_c_in_a_program_is_a_keyboard_interrupt_and_no_exception(self) -> None:
        with self.assertRaisesRegex(KeyboardInterrupt, "^interrupted by SIGINT: kept$") as caught:
            fails(RunInterruptedError("SIGINT", "kept"))
        self.assertIsInstance(caught.exception, RunInterrupt)
        self.assertNotIsInstance(caught.exception, Exception)

    def test_within_a_call_or_a_command_and_of_other_signals_it_is_an_error(self) -> None:
        @in_pythons_words()
        def outer() -> None:
            with self.assertRaises(RunInterruptedError):
                fails(RunInterruptedError("SIGINT"))

        outer()
        with self.assertRaises(RunInterruptedError):
            fails(RunInterruptedError("SIGTERM"))
        with in_flags_words(), self.assertRaises(RunInterruptedError):
            fails(RunInterruptedError("SIGINT"))


class PackageTest(unittest.TestCase):
    def test_names_are_listed_and_errors_are_there(self) -> None:
        self.assertLessEqual(set(tf_fullbatch.__all__), set(dir(tf_fullbatch)))
        self.assertIs(tf_fullbatch.UserError, tf_fullbatch.errors.UserError)


if __name__ == "__main__":
    unittest.main()
