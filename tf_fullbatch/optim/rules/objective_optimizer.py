"""Optimizers that ask more of the update batch than its gradient."""

from collections.abc import Sequence
from typing import Any

import keras

from tf_fullbatch.analysis.beginning import Beginning
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.descent import Descent


class ObjectiveOptimizer(keras.optimizers.Optimizer):
    """What holds the state of a method that asks the objective: in the shape of a Keras optimizer, so that it compiles,
    has a rate and iterations, and is saved like any other.

    Its variables, made in `build`, are everything that the method keeps from step to step. `descent` makes the steps.
    """

    def descent(self, trainable: Sequence[keras.Variable]) -> Descent:
        """The method that moves these variables, whose state is this optimizer's.

        Args:
            trainable: The variables that it was built for.
        """
        raise NotImplementedError

    def refuse(self, training: Beginning) -> None:
        """Refuses a training that the method cannot make.

        Args:
            training: Before its first step, and before anything is written.

        Raises:
            UserError: What does not go with it, and what to do.
        """

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Refuses: a gradient is not enough.

        Raises:
            UserError: Always.
        """
        raise UserError(
            f"the optimizer {type(self).__name__} asks the objective, not a gradient alone: train by "
            "FullBatchModel.fit."
        )
