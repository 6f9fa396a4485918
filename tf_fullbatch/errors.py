"""How a run can end: the outcomes, their exit codes, and the exceptions that carry them."""

import enum


class Outcome(enum.Enum):
    """How a run ended. The value is the sentence shown to the user."""

    COMPLETED = "training completed"
    NON_FINITE = "stopped before the update: a quantity was not finite"
    OUT_OF_MEMORY = "stopped: the device ran out of memory"
    INTERRUPTED = "interrupted: the last completed step was kept"
    WORKER_LOST = "stopped: another worker of the run went away"
    USER_ERROR = "refused: wrong input"

    @property
    def exit_code(self) -> int:
        """Process exit code: 0 only for a completed run."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Outcome.COMPLETED: 0,
    Outcome.USER_ERROR: 2,
    Outcome.NON_FINITE: 3,
    Outcome.OUT_OF_MEMORY: 4,
    Outcome.INTERRUPTED: 5,
    Outcome.WORKER_LOST: 6,
}


class RunError(Exception):
    """An end of a run that the user can act on: one line, no traceback.

    The message says what came, what is accepted and what to do.
    """

    outcome = Outcome.USER_ERROR

    def __str__(self) -> str:
        """The message in one line: line ends and control characters of a user's value are escaped."""
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in super().__str__())


class UserError(RunError, ValueError):
    """A user's input (a flag, an argument, a file, a data set) is at fault."""


class NonFiniteError(RunError):
    """A loss or gradient was not finite; raised before the update is applied.

    Args:
        quantity: Name of the offending quantity, such as "loss" or "gradient norm".
        value: What it was (nan, inf or -inf).
        step: The optimizer step (counted from 1) that was refused.
        origin: A clause that says where it comes from, or nothing.
    """

    outcome = Outcome.NON_FINITE

    def __init__(self, quantity: str, value: float, step: int, origin: str = ""):
        super().__init__(
            f"{quantity} is {value} in step {step}{origin and f', {origin}'}: the update was not applied and the "
            f"weights of step {step - 1} are kept. Lower --learning_rate, set --clip_norm, or use a wider "
            "--dtype_policy."
        )
        self.quantity = quantity
        self.value = value
        self.step = step


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


class WorkerLostError(RunError):
    """Another worker of a run on several machines failed or does not answer."""

    outcome = Outcome.WORKER_LOST
