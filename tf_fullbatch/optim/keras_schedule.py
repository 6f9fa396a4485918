"""The epoch-wise learning rates as a Keras schedule."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.optim.schedules.rates import EpochRates
from tf_fullbatch.optim.schedules.registry import SCHEDULES
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

    def __init__(self, rates: EpochRates, steps_per_epoch: int) -> None:
        if steps_per_epoch < 1:
            raise ValueError(f"steps_per_epoch is {steps_per_epoch}; it must be at least 1.")
        self.rates = rates
        self.steps_per_epoch = steps_per_epoch
        self._table = np.array([rates.rate_at_epoch(t) for t in range(rates.last_epoch + 1)])

    def rate_at_epoch(self, t: int) -> float:
        """The learning rate of epoch t = 0, 1, ..., without TensorFlow."""
        return self.rates.rate_at_epoch(t)

    def rate(self, step: tf.Tensor | int) -> tf.Tensor:
        """The learning rate of a step (counted from 0), a float64 scalar."""
        epoch = tf.cast(tf.convert_to_tensor(step), tf.int64) // self.steps_per_epoch
        table = tf.constant(self._table, tf.float64)
        return tf.gather(table, tf.minimum(epoch, len(self._table) - 1))

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """The learning rate of a step, computed in float64, in `keras.config.floatx()`."""
        return tf.cast(self.rate(step), keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        """The arguments of `build_schedule`."""
        schedule = self.rates.schedule
        return {
            "name": next(name for name, kind in SCHEDULES.items() if kind is type(schedule)),
            "peak": self.rates.peak,
            "warmup_epochs": self.rates.warmup_epochs,
            "horizon_epochs": self.rates.horizon_epochs,
            "steps_per_epoch": self.steps_per_epoch,
            **{field.name: getattr(schedule, field.name) for field in dataclasses.fields(schedule)},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "EpochSchedule":
        """The schedule of `get_config`."""
        return build_schedule(**config)


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

    Raises:
        ValueError: If a value is out of its range or does not go with the others.
        TypeError: If no schedule has such a setting.
    """
    rates = EpochRates(
        schedule=OptimizerConfig.component("schedule", name, **settings),
        peak=peak,
        warmup_epochs=warmup_epochs,
        horizon_epochs=horizon_epochs,
    )
    return EpochSchedule(rates, steps_per_epoch)
