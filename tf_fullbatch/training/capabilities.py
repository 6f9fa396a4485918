"""What a network and its loss can be asked for beyond a training step."""

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
        self._exact, self._one_loss, self._smooth = exact, False, False

    def refuse_inexact_products(self) -> None:
        """Refuses a network whose exact Hessian-vector products cannot be had.

        Raises:
            UserError: It is one.
        """
        if not self._exact:
            audit.check(*self._traced, second_derivatives=True)
        self._exact = True

    def refuse_several_losses(self) -> None:
        """Refuses a loss that is not one function of the weights.

        Raises:
            UserError: It is not.
        """
        if not self._one_loss:
            smoothness.refuse_several_losses(*self._traced, self._augmentation)
        self._one_loss = True

    def refuse_without_third_derivatives(self) -> None:
        """Refuses a loss of the weights that has no third derivatives.

        Raises:
            UserError: It has none.
        """
        if not self._smooth:
            smoothness.refuse_without_third_derivatives(*self._traced, self._augmentation)
        self._smooth = True
