"""Trainings that no flow describes."""

from collections.abc import Sequence

from tf_fullbatch.analysis.beginning import Beginning
from tf_fullbatch.errors import UserError


def refuse_without_flow(training: Beginning, beside: Sequence[str], *, third_derivatives: bool) -> None:
    """Refuses a training whose flow would be about something else than what is trained.

    Args:
        training: Before its first step.
        beside: What it has beside the gradient of the whole set's loss at one rate, as flags; nothing of this may be.
        third_derivatives: Whether the flow takes them; else it takes the Hessian's largest eigenvalue.

    Raises:
        UserError: There is something beside; the loss is not one function of the weights; or it lacks the derivatives.
    """
    if beside:
        raise UserError(
            f"the flow is of the whole set's loss alone and at one rate, but there is {', '.join(beside)}: leave that "
            "out."
        )
    training.refuse_inexact()
    training.refuse_several_losses()
    if third_derivatives:
        training.refuse_without_third_derivatives()
