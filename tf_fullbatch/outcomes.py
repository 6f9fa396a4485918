"""How a run can end: the outcomes, their exit codes, and the exceptions that carry them."""

import enum


class Outcome(enum.Enum):
    """How a run ended. The value is the sentence shown to the user."""

    COMPLETED = "training completed"
    NON_FINITE = "stopped before the update: a quantity was not finite"
    OUT_OF_MEMORY = "stopped: the device ran out of memory"
    INTERRUPTED = "interrupted: the last completed step was kept"
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
}


class RunError(Exception):
    """An end of a run that the user can act on: one line, no traceback.

    The message says what came, what is accepted and what to do.
    """

    outcome = Outcome.USER_ERROR


class UserError(RunError, ValueError):
    """A user's input (a flag, an argument, a file, a data set) is at fault."""


class NonFiniteError(RunError):
    """A loss or gradient was not finite; raised before the update is applied.

    Args:
        quantity: Name of the offending quantity, such as "loss" or "gradient norm".
        value: What it was (nan, inf or -inf).
        step: The optimizer step (counted from 1) that was refused.
    """

    outcome = Outcome.NON_FINITE

    def __init__(self, quantity: str, value: float, step: int):
        super().__init__(
            f"{quantity} is {value} in step {step}: the update was not applied and the weights of step "
            f"{step - 1} are kept. Lower --learning_rate, set --clip_norm, or use a wider --dtype_policy."
        )
        self.quantity = quantity
        self.value = value
        self.step = step


class DeviceMemoryError(RunError):
    """A device ran out of memory."""

    outcome = Outcome.OUT_OF_MEMORY
