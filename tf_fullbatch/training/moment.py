"""A training between two steps, as measures see it (`analysis.measures.base.Moment`)."""

import contextlib
import functools
from collections.abc import Iterator

import keras
import tensorflow as tf

from tf_fullbatch.analysis import stability
from tf_fullbatch.analysis.stability import Stability
from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core import trees
from tf_fullbatch.core.kernels import MicroBatchFigures
from tf_fullbatch.core.objective import Objective, Point
from tf_fullbatch.core.penalties import Penalty
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.training.trainer import Trainer
from tf_fullbatch.training.trial_step import Trial


class TrainingMoment:
    """The present weights of a model that trains, its whole training set, and the step that comes next.

    After the last step, the step that comes next is the last one once more, at the weights that it made: its rate,
    dropout and order of samples. There the schedule may have no other.

    Args:
        trainer: Of the model; `begin` has been called.
        optimizer: The model's.
        settings: The model's.
        statistics: Of the objective.
        last: Whether no step comes next.
    """

    def __init__(
        self,
        trainer: Trainer,
        optimizer: keras.optimizers.Optimizer,
        *,
        settings: StepConfig,
        statistics: str,
        last: bool,
    ):
        self._trainer, self._optimizer, self._settings = trainer, optimizer, settings
        self._statistics = statistics
        self.step = int(optimizer.iterations.numpy())
        self._of_step = self.step - 1 if last and self.step else self.step
        self._epoch = trainer.timeline.epoch(self._of_step)
        self.seed = (settings.seed * 1_000_003 + self.step) % 2**31
        with self._at_the_step():
            functions = trainer.training.steps.functions
            self.learning_rate = float(functions.descent.learning_rate)
            self._scalars = functions.scalars(tf.constant(self._epoch, tf.int64))
        self.penalty = self._penalty_with_a_hessian()
        self._trial_evaluations = 0.0

    @property
    def evaluations(self) -> float:
        """Gradient evaluations per sample of the training set spent on this moment so far."""
        asked = [self.__dict__[name] for name in ("objective", "_by_samples") if name in self.__dict__]
        return self._trial_evaluations + sum(objective.evaluations for objective in asked)

    @functools.cached_property
    def objective(self) -> Objective:
        """The loss of the whole training set, as the step's samples are augmented and dropped."""
        return self._objective(self._statistics, None)

    @functools.cached_property
    def _by_samples(self) -> Objective:
        return self._objective("frozen", 1)

    def by_samples(self) -> Objective:
        """See `Moment.by_samples`."""
        return self._by_samples

    @functools.cached_property
    def stability(self) -> Stability | None:
        """Where the step's method loses its stability, at the factor by which it is clipped; other transforms of
        gradient or update have no threshold derived."""
        if not self._settings.clips_at_most:
            return None
        factor = self._trial.clip_factor if self._settings.clip_norm is not None else 1.0
        found = self._trainer.training.steps.functions.descent.stability(self.learning_rate, factor)
        perturbation = self._settings.build_perturbation()
        if found is None or perturbation is None:
            return found
        # Of other gradients than that of the whole set, or other lengths than one, no threshold is known.
        whole = self._settings.perturbs_whole and self._trainer.batches.steps_per_epoch == 1
        if not whole or perturbation.adaptive or found.preconditioner is not None:
            return None
        norm = float(trees.global_norm([tf.convert_to_tensor(g) for g in self.point().gradient]))
        weight = float(perturbation.weight_in(self._epoch, norm))
        return stability.with_perturbation(found, weight * perturbation.radius, norm)

    def point(self) -> Point:
        """See `Moment.point`."""
        return self._point

    @functools.cached_property
    def _point(self) -> Point:
        return self.objective.value_and_gradient()

    def micro_batches(self) -> MicroBatchFigures:
        """See `Moment.micro_batches`."""
        return self._micro_batches

    @functools.cached_property
    def _micro_batches(self) -> MicroBatchFigures:
        return self.objective.micro_batches()

    def update(self) -> Tree:
        """See `Moment.update`."""
        return self._trial.update

    @functools.cached_property
    def _trial(self) -> Trial:
        timeline = self._trainer.timeline
        step = timeline.step_in_epoch(self._of_step)
        with self._at_the_step():
            trial = self._trainer.trial(self._epoch, step)
        share = timeline.plan.step_samples(step) / timeline.plan.samples
        self._trial_evaluations += share * (self._settings.gradient_evaluations + trial.evaluations)
        return trial

    def momentum(self) -> Tree | None:
        """See `Moment.momentum`."""
        return self._trainer.training.steps.functions.descent.momentum

    def _objective(self, statistics: str, micro_batch_size: int | None) -> Objective:
        with self._at_the_step():
            return self._trainer.objective(
                self._trainer.batches.whole(),
                0,
                self._epoch,
                statistics=statistics,
                micro_batch_size=micro_batch_size,
            )

    def _penalty_with_a_hessian(self) -> Penalty | None:
        penalty = self._trainer.training.penalty
        if penalty is None or not penalty.exact or float(self._scalars.full_penalty):
            return None
        return penalty if float(self._scalars.micro_batch_penalty) else None

    @contextlib.contextmanager
    def _at_the_step(self) -> Iterator[None]:
        """Within it, the optimizer counts as it does when it makes the step."""
        if self._of_step == self.step:
            yield
            return
        iterations = self._optimizer.iterations
        iterations.assign(self._of_step)
        try:
            yield
        finally:
            iterations.assign(self.step)
