"""What a network and its loss can be asked for beyond a training step."""

from collections.abc import Callable
from typing import Any

from tf_fullbatch.analysis.flows import smoothness
from tf_fullbatch.core import audit
from tf_fullbatch.core.gradient_trace import SampleSpecs
from tf_fullbatch.core.micro_batch import MicroBatchLoss


class Capabilities:
    """What a compiled model's network and loss can be asked for; what was once found is not traced again.

    Args:
        loss: The losses of micro-batches.
        samples: Shapes and dtypes of a batch.
        exact: Whether exact second derivatives were seen to be there, as training with them has it.
    """

    def __init__(self, loss: MicroBatchLoss, samples: SampleSpecs, *, exact: bool):
        self._traced = loss.call, loss.training_loss, samples
        self._augmentation = loss.augmentation
        self._found: set[Callable] = {audit.check} if exact else set()

    def refuse_inexact_products(self) -> None:
        """Refuses a network whose exact Hessian-vector products cannot be had.

        Raises:
            UserError: It is one.
        """
        self._once(audit.check, second_derivatives=True)

    def refuse_several_losses(self) -> None:
        """Refuses a loss that is not one function of the weights.

        Raises:
            UserError: It is not.
        """
        self._once(smoothness.refuse_several_losses, augmentation=self._augmentation)

    def refuse_without_third_derivatives(self) -> None:
        """Refuses a loss of the weights that has no third derivatives.

        Raises:
            UserError: It has none.
        """
        self._once(smoothness.refuse_without_third_derivatives, augmentation=self._augmentation)

    def _once(self, check: Callable, **settings: Any) -> None:
        """Makes a check, unless it has passed before."""
        if check not in self._found:
            check(*self._traced, **settings)
            self._found.add(check)
