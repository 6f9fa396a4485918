"""`FullBatchModel`: a Keras model whose `train_step` is one optimizer update over the whole update batch."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core import losses  # noqa: F401, for Keras to find when it loads a compiled model
from tf_fullbatch.core.micro_batch import Augmentation, Clock
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import DeviceMemoryError, NonFiniteError, RunInterruptedError
from tf_fullbatch.optim import gradient_descent, keras_schedule  # noqa: F401, likewise
from tf_fullbatch.training.diagnosis import StepInQuestion, diagnose
from tf_fullbatch.training.evaluation import mirror_average
from tf_fullbatch.training.update_batch_model import UpdateBatchModel


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class FullBatchModel(UpdateBatchModel):
    """Trains a Keras network by descent on the exact gradient of large update batches.

    One `train_step` accumulates the gradient over the update batch (by default the whole training set) in
    micro-batches, reduces it once over the replicas of the current `tf.distribute` strategy, clips it, and
    makes one optimizer update (Geiping et al. 2022, "Stochastic Training is Not Necessary for
    Generalization"). Use it like any Keras model:

        model = FullBatchModel(network, penalty="forward_differences", penalty_strength=0.5, clip_norm=0.25)
        model.compile(optimizer=GradientDescent(0.1), loss=SparseCrossentropy())
        model.fit(images, labels, epochs=60)

    Args:
        network: The Keras model to train, with one input and one output.
        augmentation_function: A registered Keras-serialisable callable (inputs, sample_ids, epoch) -> inputs, in
            place of the setting `augmentation`.
        **settings: Fields of `tf_fullbatch.config.step.StepConfig` (micro_batch_size, penalty, clip_norm, seed,
            ...), and Keras' `name`.

    Raises:
        UserError: Settings out of range or contradicting each other; a ValueError.
        TypeError: An unknown setting.
    """

    def __init__(
        self, network: keras.Model, *, augmentation_function: Augmentation | None = None, **settings: Any
    ):
        keras_arguments = {k: settings.pop(k) for k in ("name", "trainable", "dtype") if k in settings}
        super().__init__(network, StepConfig(**settings), augmentation_function, **keras_arguments)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """The network's outputs."""
        if self.settings.flip_averaging and not training:
            return mirror_average(self.network, inputs)
        return self.network(inputs, training=training)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Builds the network."""
        if not self.network.built:
            self.network(keras.KerasTensor(input_shape))  # builds networks without a `build` of their own too
        self.built = True

    def train_step(self, iterator: Iterator) -> dict[str, float]:
        """One optimizer update over one update batch.

        Args:
            iterator: Yields the update batch's chunks (`UpdateBatches.distributed`).

        Returns:
            Means over the epoch so far. The step's own figures go to `last_step`.

        Raises:
            NonFiniteError: Loss or gradient is not finite; nothing was assigned.
            RunInterruptedError: A stop was requested; nothing was assigned.
            DeviceMemoryError: A micro-batch does not fit the device.
        """
        started = time.perf_counter()
        step, clock = self._session.step, self._clock()
        full_gradient = None
        if self.settings.full_gradient_penalty_strength:
            stopping = self._accumulate(iterator, clock, None, penalised=False)
            full_gradient, stops = step.mean_gradient(stopping)
            self._refuse_to_go_on(stops)
        stopping = self._accumulate(iterator, clock, full_gradient, penalised=True)
        update = step.reduce(clock, full_gradient, stopping)
        figures = {name: float(value) for name, value in update.scalars.items()}
        self._refuse_to_go_on(figures.pop("stopping"))
        self._refuse_non_finite(figures, clock, full_gradient)
        timeline = self._session.timeline
        micro_batches = timeline.plan.micro_batches(timeline.step_in_epoch(self.steps_completed))
        norms = step.apply(update, tf.constant(micro_batches, tf.int64))
        figures |= {name: float(value) for name, value in norms.items()}
        figures["learning_rate"] = float(clock.learning_rate)
        figures["step_seconds"] = time.perf_counter() - started
        return self._record(figures)

    def _clock(self) -> Clock:
        """The scalars of the step about to be made."""
        step = self.steps_completed
        epoch = self._session.timeline.epoch(step)
        ramp = (
            min(1.0, epoch / self.settings.penalty_warmup_epochs)
            if self.settings.penalty_warmup_epochs
            else 1.0
        )
        floatx = keras.config.floatx()
        return Clock(
            step=tf.constant(step, tf.int64),
            epoch=tf.constant(epoch, tf.int64),
            learning_rate=tf.cast(self.optimizer.learning_rate.numpy(), floatx),
            strength=tf.constant(ramp * self.settings.penalty_strength, floatx),
            full_strength=tf.constant(ramp * self.settings.full_gradient_penalty_strength, floatx),
        )

    def _accumulate(
        self, iterator: Iterator, clock: Clock, full_gradient: Tree | None, *, penalised: bool
    ) -> tf.Tensor:
        """Sums up one pass over the update batch; returns 1.0 where a stop was requested within it, else 0.0."""
        timeline = self._session.timeline
        step_in_epoch = timeline.step_in_epoch(int(clock.step))
        rounds = timeline.plan.rounds(step_in_epoch)
        self._session.step.begin()
        for done in range(1, rounds + 1):
            if self.stop_requested() is not None:
                return tf.constant(1.0)
            try:
                self._session.step.accumulate(iterator, clock, full_gradient, penalised)
            except tf.errors.ResourceExhaustedError as error:
                raise DeviceMemoryError(
                    f"The device ran out of memory in a micro-batch of {self.settings.micro_batch_size} samples: "
                    "choose a smaller --micro_batch_size or a smaller model."
                ) from error
            except (StopIteration, tf.errors.OutOfRangeError) as error:
                raise RuntimeError(
                    f"The data set ended inside a step: {done - 1} of {rounds} rounds came."
                ) from error
            for listener in self.chunk_listeners:
                listener(done, rounds)
        return tf.constant(0.0)

    def _refuse_to_go_on(self, stops: tf.Tensor | float) -> None:
        """Raises `RunInterruptedError` where a worker stops."""
        if float(stops):
            raise RunInterruptedError(self.stop_requested() or "another worker")

    def _refuse_non_finite(self, figures: dict[str, float], clock: Clock, full_gradient: Tree | None) -> None:
        for name, quantity in (
            ("loss", "the loss"),
            ("gradient_norm", "the gradient norm"),
            ("mean_squared_micro_batch_gradient_norm", "the micro-batches' mean squared gradient norm"),
            ("state_sum", "the sum of the normalisation statistics"),
        ):
            if not np.isfinite(figures[name]):
                timeline = self._session.timeline
                step = StepInQuestion(
                    self._session.trained,
                    timeline.plan,
                    timeline.step_in_epoch(self.steps_completed),
                    clock,
                    full_gradient,
                )
                origin = diagnose(self._session.step.objective, step)
                raise NonFiniteError(quantity, figures[name], self.steps_completed + 1, origin)

    def _record(self, figures: dict[str, float]) -> dict[str, float]:
        """Keeps a step's figures and returns the epoch's means so far."""
        samples = int(figures.pop("samples"))
        del figures["state_sum"]
        if not self._session.classifies:
            del figures["accuracy"]
        self._session.last_step = {
            "step": self.steps_completed,
            "epoch": self._session.timeline.epochs_completed(self.steps_completed),
            "samples": samples,
            **figures,
            "images_per_second": samples / figures["step_seconds"],
        }
        shown = ("loss", "accuracy", "penalised_objective", "gradient_norm", "learning_rate")
        means = self._session.means.add(samples, {name: figures[name] for name in shown if name in figures})
        return self._results(means)

    def test_step(self, iterator: Iterator) -> dict[str, float]:
        """The evaluation of a whole data set, from an iterator over its chunks."""
        plan = self._session.evaluated.plan(self.distribute_strategy.num_replicas_in_sync)
        self._session.evaluation.begin()
        stopping = 0.0
        for _ in range(plan.rounds(0)):
            if self.stop_requested() is not None:
                stopping = 1.0
                break
            self._session.evaluation.accumulate(iterator)
        reduced = self._session.evaluation.reduce(tf.constant(stopping))
        figures = {name: float(value) for name, value in reduced.items()}
        self._refuse_to_go_on(figures["stopping"])
        shown = ("loss", "accuracy") if self._session.classifies else ("loss",)
        return self._results({name: figures[name] for name in shown})

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        config = super().get_config()
        config |= dataclasses.asdict(self.settings)
        config["network"] = keras.saving.serialize_keras_object(self.network)
        config["augmentation_function"] = keras.saving.serialize_keras_object(self.augmentation_function)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict | None = None) -> "FullBatchModel":
        """The model of a configuration."""
        config = dict(config)
        for name in ("network", "augmentation_function"):
            config[name] = keras.saving.deserialize_keras_object(config[name], custom_objects)
        return cls(**config)
