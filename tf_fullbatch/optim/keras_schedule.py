"""The epoch-wise learning rates as a Keras schedule."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.optim.schedules.rates import EpochRates
from tf_fullbatch.optim.schedules.registry import SCHEDULES
from tf_fullbatch.optim.schedules.run_rates import RunRates, Stretch
from tf_fullbatch.optim.settings import OptimizerConfig


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class EpochSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that is constant within an epoch: `rate(step) = rates(floor(step / steps_per_epoch))`.

    The rates are tabulated in Python, so what trains is, to the last bit, what `rate_at_epoch` says.

    Args:
        rates: The rate of every epoch.
        steps_per_epoch: Optimizer steps in an epoch; 1 for full-batch training.

    Raises:
        ValueError: If `steps_per_epoch` is not positive.
    """

    def __init__(self, rates: EpochRates | RunRates, steps_per_epoch: int) -> None:
        if steps_per_epoch < 1:
            raise ValueError(f"steps_per_epoch is {steps_per_epoch}; it must be at least 1.")
        self.rates = rates
        self.steps_per_epoch = steps_per_epoch
        self._table = np.array([rates.rate_at_epoch(t) for t in range(rates.last_epoch + 1)])

    def rate_at_epoch(self, t: int) -> float:
        """The learning rate of epoch t = 0, 1, ..., without TensorFlow."""
        return self.rates.rate_at_epoch(t)

    @property
    def is_constant(self) -> bool:
        """Whether all epochs have the same rate."""
        return bool(np.all(self._table == self._table[0]))

    def rate(self, step: tf.Tensor | int) -> tf.Tensor:
        """The learning rate of a step (counted from 0), a float64 scalar."""
        epoch = tf.cast(tf.convert_to_tensor(step), tf.int64) // self.steps_per_epoch
        table = tf.constant(self._table, tf.float64)
        return tf.gather(table, tf.minimum(epoch, len(self._table) - 1))

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """The learning rate of a step, computed in float64, in `keras.config.floatx()`."""
        return tf.cast(self.rate(step), keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        """The arguments of `build_schedule`, or those of each stretch with its length."""
        if isinstance(self.rates, EpochRates):
            return _arguments(self.rates) | {"steps_per_epoch": self.steps_per_epoch}
        stretches = [_arguments(part.rates) | {"epochs": part.epochs} for part in self.rates.stretches]
        return {"stretches": stretches, "steps_per_epoch": self.steps_per_epoch}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "EpochSchedule":
        """The schedule of `get_config`."""
        if "stretches" not in config:
            return build_schedule(**config)
        stretches = [dict(stretch) for stretch in config["stretches"]]
        parts = [Stretch(epochs=part.pop("epochs"), rates=_epoch_rates(**part)) for part in stretches]
        return cls(RunRates(tuple(parts)), config["steps_per_epoch"])


def build_schedule(
    name: str,
    *,
    peak: float,
    warmup_epochs: float,
    horizon_epochs: float,
    steps_per_epoch: int,
    **settings: Any,
) -> EpochSchedule:
    """The Keras schedule of a name and its numbers.

    Args:
        name: A key of `schedules.registry.SCHEDULES`.
        peak: The rate at the end of the warmup.
        warmup_epochs: Length of the warmup, in epochs.
        horizon_epochs: Length of the schedule, in epochs (see `EpochRates`).
        steps_per_epoch: Optimizer steps in an epoch.
        **settings: The schedule's own: `decay_epochs` and `decay_factor` of "steps".

    Returns:
        A schedule of the step, for any Keras optimizer; one rate holds for a whole epoch.

    Raises:
        ValueError: If a value is out of its range or does not go with the others.
        TypeError: If no schedule has such a setting.
    """
    lengths = {"warmup_epochs": warmup_epochs, "horizon_epochs": horizon_epochs}
    return EpochSchedule(_epoch_rates(name, peak=peak, **lengths, **settings), steps_per_epoch)


def _epoch_rates(
    name: str, *, peak: float, warmup_epochs: float, horizon_epochs: float, **settings: Any
) -> EpochRates:
    schedule = OptimizerConfig.component("schedule", name, **settings)
    return EpochRates(
        schedule=schedule, peak=peak, warmup_epochs=warmup_epochs, horizon_epochs=horizon_epochs
    )


def _arguments(rates: EpochRates) -> dict[str, Any]:
    """The arguments of `_epoch_rates`."""
    schedule = rates.schedule
    return {
        "name": next(name for name, kind in SCHEDULES.items() if kind is type(schedule)),
        "peak": rates.peak,
        "warmup_epochs": rates.warmup_epochs,
        "horizon_epochs": rates.horizon_epochs,
        **{field.name: getattr(schedule, field.name) for field in dataclasses.fields(schedule)},
    }
