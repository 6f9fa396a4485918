"""How a run can end: the outcomes, their exit codes, and the exceptions that carry them."""

import contextlib
import contextvars
import enum
import re
from collections.abc import Iterator


class Outcome(enum.Enum):
    """How a run ended. The value is the sentence shown to the user."""

    COMPLETED = "training completed"
    STOPPED_BY_GOAL = "stopped by a goal"
    CONVERGED = "converged: no lower value can be shown in the loss's precision"
    NON_FINITE = "stopped before the update: a quantity was not finite"
    DIVERGED = "diverged: the losses after the last step mean nothing"
    OUT_OF_MEMORY = "stopped: the device ran out of memory"
    INTERRUPTED = "interrupted: the last completed step was kept"
    SEARCH_FAILED = "stopped: the search for a step failed twice"
    WORKER_LOST = "stopped: another worker of the run went away"
    USER_ERROR = "refused: wrong input"

    @property
    def exit_code(self) -> int:
        """Process exit code: 0 only for a run that has done all that was asked of it."""
        return _EXIT_CODES[self]

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to be done: it has all its passes, or reached its goal, or has converged."""
        return self in (Outcome.COMPLETED, Outcome.STOPPED_BY_GOAL, Outcome.CONVERGED)


_EXIT_CODES = {
    Outcome.COMPLETED: 0,
    Outcome.STOPPED_BY_GOAL: 0,
    Outcome.CONVERGED: 0,
    Outcome.USER_ERROR: 2,
    Outcome.NON_FINITE: 3,
    Outcome.OUT_OF_MEMORY: 4,
    Outcome.INTERRUPTED: 5,
    Outcome.WORKER_LOST: 6,
    Outcome.DIVERGED: 7,
    Outcome.SEARCH_FAILED: 8,
}


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class RunError(Exception):
    """An end of a run that the user can act on: one line, no traceback.

    The message says what came, what is accepted and what to do.
    """

    outcome = Outcome.USER_ERROR

    def __str__(self) -> str:
        """The message in one line: line ends and control characters are escaped, colours of a terminal left out."""
        plain = _COLOUR.sub("", super().__str__())
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in plain)


class UserError(RunError, ValueError):
    """A user's input (a flag, an argument, a file, a data set) is at fault."""


class NonFiniteError(RunError):
    """A loss, gradient or update was not finite.

    Args:
        quantity: Name of the offending quantity, such as "loss" or "gradient norm".
        value: What it was (nan, inf or -inf).
        step: The optimizer step (counted from 1).
        origin: A clause that says where it comes from, or nothing.
        advice: What to do; empty for what helps a training that explodes.
        weights_lost: Whether the update itself was not finite, so that it is known only once the weights are changed;
            else the update was not applied.
    """

    outcome = Outcome.NON_FINITE

    def __init__(
        self,
        quantity: str,
        value: float,
        step: int,
        origin: str = "",
        *,
        advice: str = "",
        weights_lost: bool = False,
    ):
        kept = f"the update was not applied and the weights of step {step - 1} are kept"
        what = "the weights are lost" if weights_lost else kept
        advice = advice or "Lower --learning_rate, set --clip_norm, or use a wider --dtype_policy."
        super().__init__(f"{quantity} is {value} in step {step}{origin and f', {origin}'}: {what}. {advice}")
        self.weights_lost = weights_lost
        self.quantity = quantity
        self.value = value
        self.step = step


class NoStepError(RunError):
    """A method of descent finds no step from where it stands; the weights of the step before are kept."""

    outcome = Outcome.NON_FINITE


class SearchFailedError(NoStepError):
    """A search found no lower value along a direction, nor along the negative gradient."""

    outcome = Outcome.SEARCH_FAILED


class DivergedError(RunError):
    """All steps were made and finite, but a loss after the last has exploded."""

    outcome = Outcome.DIVERGED


class DeviceMemoryError(RunError):
    """A device ran out of memory."""

    outcome = Outcome.OUT_OF_MEMORY


class RunInterruptedError(RunError):
    """A signal asked the run to stop; the unfinished step is dropped.

    Args:
        by: Who asked for it, such as "SIGTERM".
        advice: What was kept and how to go on; added later where it is not known yet.
    """

    outcome = Outcome.INTERRUPTED

    def __init__(self, by: str, advice: str = ""):
        super().__init__(f"interrupted by {by}" + (f": {advice}" if advice else ""))
        self.by = by


class RunInterrupt(KeyboardInterrupt):
    """Ctrl-C stopped a run, a `fit` or an `evaluate` of a Python program; the unfinished step is dropped.

    It is no `RunError`, so that a program's `except Exception` lets it pass, as it does Python's own.
    """


class WorkerLostError(RunError):
    """Another worker of a run on several machines failed or does not answer."""

    outcome = Outcome.WORKER_LOST


_IN_A_COMMAND = contextvars.ContextVar("in a command", default=False)
_IN_A_CALL = contextvars.ContextVar("in a call of a Python program's", default=False)


def one_line(error: Exception) -> str:
    """What another library's error says, in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]


@contextlib.contextmanager
def in_flags_words() -> Iterator[None]:
    """Within, errors name settings as the command line does, `--clip_norm`."""
    token = _IN_A_COMMAND.set(True)
    try:
        yield
    finally:
        _IN_A_COMMAND.reset(token)


@contextlib.contextmanager
def in_pythons_words() -> Iterator[None]:
    """Errors that pass name settings as a Python program does, `clip_norm`, unless a command is under way.

    A Ctrl-C is raised as `raising_interrupts` says. Also a decorator.
    """
    with raising_interrupts():
        try:
            yield
        except RunError as error:
            if not _IN_A_COMMAND.get():
                error.args = tuple(_pythons(part) if isinstance(part, str) else part for part in error.args)
            raise


@contextlib.contextmanager
def raising_interrupts() -> Iterator[None]:
    """A Ctrl-C that leaves the outermost such call is a `RunInterrupt`, unless a command is under way.

    Also a decorator.
    """
    outermost = not _IN_A_CALL.get() and not _IN_A_COMMAND.get()
    token = _IN_A_CALL.set(True)
    try:
        yield
    except RunInterruptedError as error:
        if outermost and error.by == "SIGINT":
            raise RunInterrupt(str(error)) from error
        raise
    finally:
        _IN_A_CALL.reset(token)


def _pythons(message: str) -> str:
    message = message.replace("(--help", "(python -m tf_fullbatch.main --help")
    return re.sub(r"(?<![\w-])--(?!help\b)(?=[a-z])", "", message)
