"""`Goals`: a Keras callback that ends `fit` of a `FullBatchModel` at a goal, or where its method has converged."""

from collections.abc import Mapping
from typing import Any

from tf_fullbatch.config.runtime import RuntimeConfig
from tf_fullbatch.errors import Outcome, UserError, in_pythons_words
from tf_fullbatch.optim.rules.search_optimizer import SearchOptimizer
from tf_fullbatch.records.goals import PassFigures, Reached
from tf_fullbatch.training.beginning import ModelBeginning
from tf_fullbatch.training.callbacks import BlockCallback
from tf_fullbatch.training.full_batch_model import FullBatchModel


class Goals(BlockCallback):
    """Ends `fit` after the first pass that reaches a goal, or in which a method that searches says it has converged.

        goals = tf_fullbatch.Goals(stop_at_loss=0.01, stop_after_perfect=5)
        model.fit(images, labels, epochs=10_000, callbacks=[goals])
        print(goals.reached)

    Goals are looked at when a pass over the data ends, and so in the same steps however many are made per call. The
    figures are those of the pass: means over its steps, weighted by their samples, at the weights before each update.
    A method has converged where its search finds nothing lower and what it promises is less than the loss's precision
    can show; the next step would be the same, unless the function differs from step to step (augmentation, dropout,
    mini-batches), where convergence ends nothing.

    Args:
        stop_at_loss: End where the training loss, without the penalty, is at or below this.
        stop_after_perfect: End after so many passes in a row of a training accuracy of 1.
        stop_after_evaluations: End where so many gradient evaluations per sample were spent, in all passes.
        stop_at_gradient_norm: End where the norm of the gradient before clipping is at or below this: of the loss with
            its penalty, without weight decay.
        state: What `state` gave, to go on from; None to begin.

    Attributes:
        reached: The goal that was reached, with its value and step; None where none was.
        converged: Whether the method has converged, and no goal was reached.

    Raises:
        UserError: A goal is out of its range.
    """

    @in_pythons_words()
    def __init__(
        self,
        *,
        stop_at_loss: float | None = None,
        stop_after_perfect: int | None = None,
        stop_at_gradient_norm: float | None = None,
        stop_after_evaluations: float | None = None,
        state: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self._goals = RuntimeConfig(
            stop_at_loss=stop_at_loss,
            stop_after_perfect=stop_after_perfect,
            stop_at_gradient_norm=stop_at_gradient_norm,
            stop_after_evaluations=stop_after_evaluations,
        ).goals
        self._begun_with = state
        self._figures = PassFigures(state)
        self._epoch = 0
        self.reached: Reached | None = None
        self.converged = False

    @property
    def ended(self) -> bool:
        """Whether the training has ended at a goal or by convergence."""
        return self.reached is not None or self.converged

    @property
    def outcome(self) -> Outcome:
        """How a training ends whose last step is made."""
        if self.reached is not None:
            return Outcome.STOPPED_BY_GOAL
        return Outcome.CONVERGED if self.converged else Outcome.COMPLETED

    @property
    def message(self) -> str:
        """The sentence about such an end; empty for the outcome's own."""
        return "" if self.reached is None else self.reached.text

    def state(self) -> dict[str, Any]:
        """What is known of the passes so far, JSON-able; part of a checkpoint."""
        return self._figures.state()

    def look(self, step: int, epoch: int) -> None:
        """Looks whether the training has ended.

        Args:
            step: Steps completed, the last of a pass.
            epoch: Passes completed.
        """
        self.reached = self._figures.reached(self._goals, step, epoch)
        self.converged = self.reached is None and self._figures.converged

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        refuse_goals(self._goals, self.model)
        self._figures = PassFigures(self._begun_with)
        self.reached, self.converged = None, False

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._figures.add(self.model.last_steps)
        if batch + 1 < self.params["steps"]:
            return
        self._figures.end_pass()
        self._figures.converged = self._has_converged()
        self.look(self.model.steps_completed, self._epoch + 1)
        if self.ended:  # the callbacks that follow see that no step comes next
            self.model.stop_training = True

    def _has_converged(self) -> bool:
        optimizer, trainer = self.model.optimizer, self.model.trainer
        if not (isinstance(optimizer, SearchOptimizer) and optimizer.converged):
            return False
        return not ModelBeginning(self.model, trainer.training, trainer.batches).differs_from_step_to_step


@in_pythons_words()
def refuse_goals(goals: Mapping[str, float], model: FullBatchModel) -> None:
    """Refuses goals that a model's training cannot have.

    Args:
        goals: Those of `config.runtime.GOALS` that are set -> their limits.
        model: Prepared to train.

    Raises:
        UserError: The model is no `FullBatchModel`, or its accuracy has no meaning.
    """
    if not isinstance(model, FullBatchModel):
        raise UserError(
            f"Goals: the model is a {type(model).__name__}: give it to the fit of a FullBatchModel."
        )
    if "stop_after_perfect" in goals and not model.trainer.has_accuracy:
        raise UserError(
            f"--stop_after_perfect={goals['stop_after_perfect']:g}: accuracy has no meaning for this loss and these "
            "targets. Leave it out, or give --stop_at_loss."
        )
