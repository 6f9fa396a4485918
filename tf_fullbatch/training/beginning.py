"""What is known of a model's training before its first step, for what may refuse it (`analysis.beginning`)."""

from collections.abc import Mapping, Sequence

import keras

from tf_fullbatch.analysis import stability
from tf_fullbatch.analysis.measures.base import MeasureSettings
from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core import keras_internals
from tf_fullbatch.core.names import EXACT
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.plan import pieces
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.keras_schedule import EpochSchedule
from tf_fullbatch.optim.stability import stability_of
from tf_fullbatch.training.parts import TrainingParts
from tf_fullbatch.training.trainable import Trainable


class ModelBeginning:
    """See `analysis.beginning.Beginning`.

    Args:
        model: The compiled model.
        parts: Its training parts.
        batches: Its update batches.
        steps_per_epoch: Updates per pass over the set; None where the batches say it.
    """

    def __init__(
        self,
        model: Trainable,
        parts: TrainingParts,
        batches: UpdateBatches,
        steps_per_epoch: int | None = None,
    ):
        self._model, self._parts = model, parts
        self._crops = ["--random_resized_crop"] if batches.random_crops else []
        self._steps = batches.steps_per_epoch if steps_per_epoch is None else steps_per_epoch
        self.micro_batches = pieces(len(batches), model.settings.micro_batch_size)

    @property
    def has_momentum(self) -> bool:
        """See `Beginning`."""
        return self._parts.steps.functions.descent.momentum is not None

    @property
    def beside_the_method(self) -> Sequence[str]:
        """See `Beginning`."""
        settings = self._model.settings
        found = [*_given(settings, "penalty", *_NO_GRADIENTS), *self._new_samples(), *self._several_updates()]
        if _moves(self._model.optimizer):
            found.append("a learning rate that changes (set --schedule=constant and no --warmup_epochs)")
        return found

    @property
    def beside_the_gradient(self) -> Sequence[str]:
        """See `Beginning`."""
        optimizer = self._model.optimizer
        rate = float(self._parts.steps.functions.descent.learning_rate)
        of_method = stability_of(optimizer, rate, self._model.network.trainable_variables)
        around = _given(self._model.settings, "lookahead_steps")
        if of_method == stability.gradient_descent(rate):
            return around
        config = optimizer.get_config()
        found = [f"--{name}={config[name]}" for name in ("momentum", "weight_decay") if config.get(name)]
        return [*(found or [f"the optimizer {type(optimizer).__name__}"]), *around]

    @property
    def beside_the_objective(self) -> Sequence[str]:
        """See `Beginning`."""
        settings = self._model.settings
        exact = settings.penalty in ("none", *EXACT)
        return _given(settings, *_NO_GRADIENTS, *(() if exact else ("penalty",)))

    @property
    def differs_from_step_to_step(self) -> Sequence[str]:
        """See `Beginning`."""
        settings, model = self._model.settings, self._model
        found = [*self._new_samples(), *self._several_updates()]
        if keras_internals.seed_variables(model.network):
            found.append("layers that draw at random")
        if settings.penalty != "none":
            found += _given(settings, "penalty_warmup_epochs")
            found += ["--penalty with a learning rate that changes"] if _moves(model.optimizer) else []
        return found

    def _new_samples(self) -> list[str]:
        """By what samples are others in each pass; of a fixed set of copies, all in each pass, they are the same."""
        settings = self._model.settings
        if settings.copies_per_pass > 1:
            return self._crops
        own = ["an augmentation"] if self._model.augmentation_function is not None else []
        return [*_given(settings, "augmentation"), *own, *self._crops]

    def _several_updates(self) -> list[str]:
        return [f"{self._steps} updates per pass (set --batch_size=full)"] if self._steps > 1 else []

    def refuse_inexact(self) -> None:
        """See `Beginning`."""
        self._parts.capabilities.refuse_inexact_products()

    def refuse_several_losses(self) -> None:
        """See `Beginning`."""
        self._parts.capabilities.refuse_several_losses()

    def refuse_without_third_derivatives(self) -> None:
        """See `Beginning`."""
        self._parts.capabilities.refuse_without_third_derivatives()


def refuse_measures(measures: Mapping[str, MeasureSettings], training: ModelBeginning) -> None:
    """Refuses measures that would have nothing to say of a training.

    Args:
        measures: Name -> settings.
        training: Before its first step.

    Raises:
        UserError: One of them, and why.
    """
    for name, settings in measures.items():
        try:
            settings.check(training)
        except UserError as error:
            raise UserError(f"--measure={name}: {error}") from error


_NO_GRADIENTS = (
    "perturbation",
    "clip_norm",
    "micro_batch_clip_norm",
    "learning_rate_factors",
    "additive_noise",
    "gradient_transforms",
    "update_transforms",
    "multiplicative_noise",
)
"""Settings by which what is descended is no function's gradient."""


def _given(settings: StepConfig, *names: str) -> list[str]:
    """Those of some settings that do something, as flags."""
    values = {name: getattr(settings, name) for name in names}
    return [f"--{name}={value}" for name, value in values.items() if value and value != "none"]


def _moves(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether a schedule changes the rate."""
    schedule = optimizer._learning_rate
    if isinstance(schedule, EpochSchedule):
        return not schedule.is_constant
    return isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule)
