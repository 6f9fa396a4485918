"""`FullBatchModel`: a Keras model whose `train_step` is one optimizer update over the whole update batch."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core import (
    keras_internals,
    losses,  # noqa: F401, for Keras to find when it loads a compiled model
)
from tf_fullbatch.core.kernels import classifies
from tf_fullbatch.core.micro_batch import Augmentation, StepScalars
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.checks import check_targets
from tf_fullbatch.errors import DeviceMemoryError, NonFiniteError, RunInterruptedError
from tf_fullbatch.optim import keras_gradient_descent, keras_schedule  # noqa: F401, for Keras to find
from tf_fullbatch.training import loop, parts, refusals
from tf_fullbatch.training.diagnosis import StepInQuestion, diagnose
from tf_fullbatch.training.drivers import ChunkListener, Driver, driver_of, source_of
from tf_fullbatch.training.evaluation import mirror_average
from tf_fullbatch.training.figures import EpochMeans, first_not_finite, named_figures, step_records
from tf_fullbatch.training.timeline import Timeline

_WATCHED = {
    "loss": "the loss",
    "gradient_norm": "the gradient norm",
    "mean_squared_micro_batch_gradient_norm": "the micro-batches' mean squared gradient norm",
    "state_sum": "the sum of the normalisation statistics",
}


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class FullBatchModel(keras.Model):
    """Trains a Keras network by descent on the exact gradient of large update batches.

    One step accumulates the gradient over the update batch (by default the whole training set) in micro-batches,
    reduces it once over the replicas of the current `tf.distribute` strategy, clips it, and makes one optimizer update
    (Geiping et al. 2022, "Stochastic Training is Not Necessary for Generalization"). Use it like any Keras model:

        model = FullBatchModel(network, penalty="forward_differences", penalty_strength=0.5, clip_norm=0.25)
        model.compile(optimizer=GradientDescent(0.1), loss=SparseCrossentropy())
        model.fit(images, labels, epochs=60)

    Args:
        network: The Keras model to train, with one input and one output.
        augmentation_function: A registered Keras-serialisable callable (inputs, sample_ids, epoch) -> inputs, in
            place of the setting `augmentation`.
        **settings: Fields of `tf_fullbatch.config.step.StepConfig` (micro_batch_size, penalty, clip_norm, seed,
            ...), and Keras' `name`.

    Attributes:
        chunk_listeners: Functions called after each call within a step with (rounds done, rounds in the step), a
            round being one micro-batch of each replica; append yours.
        stop_requested: Asked before each call; says who or what asks for a stop, such as "SIGTERM", or None to go on.
            The step or evaluation under way is then dropped, and `fit` or `evaluate` raises
            `tf_fullbatch.errors.RunInterruptedError`, on every worker in the same step.
        last_steps: Figures of the steps made by the last call: loss, ... (`records.columns.STEP_COLUMNS`).

    Raises:
        UserError: Settings out of range or contradicting each other; a ValueError.
        TypeError: An unknown setting.
    """

    def __init__(
        self, network: keras.Model, *, augmentation_function: Augmentation | None = None, **settings: Any
    ):
        super().__init__(**{k: settings.pop(k) for k in ("name", "trainable", "dtype") if k in settings})
        self.network = network
        self.settings = StepConfig.of(**settings)
        self.augmentation_function = augmentation_function
        self.chunk_listeners: list[ChunkListener] = []
        self.stop_requested: Callable[[], str | None] = lambda: None
        self.last_steps: list[dict[str, float]] = []
        self._training_parts: parts.TrainingParts | None = None
        self._evaluation_parts: parts.EvaluationParts | None = None
        self._classifies = False
        self._timeline: Timeline | None = None
        self._driver: Driver | None = None
        self._means = EpochMeans()

    @property
    def last_step(self) -> dict[str, float]:
        """Figures of the last completed step; empty before the first."""
        return self.last_steps[-1] if self.last_steps else {}

    @property
    def steps_completed(self) -> int:
        """Optimizer updates made so far."""
        return int(self.optimizer.iterations.numpy())

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

    def fit(
        self,
        x: np.ndarray | UpdateBatches,
        y: np.ndarray | None = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        validation_data: tuple[np.ndarray, np.ndarray] | None = None,
        shuffle: bool = False,
        initial_epoch: int = 0,
        validation_freq: int | Sequence[int] = 1,
        initial_step: int = 0,
        **unsupported: Any,
    ) -> keras.callbacks.History:
        """Trains for a number of epochs, each of ceil(N / batch_size) updates.

        Args:
            x: Inputs `[samples, ...]` (images as uint8 for `tf_fullbatch` networks), or `UpdateBatches`.
            y: Targets `[samples]` or `[samples, ...]`; not with `UpdateBatches`.
            batch_size: Samples per update; None for the whole set. Not with `UpdateBatches`.
            epochs: Epoch to stop after.
            verbose: As for `keras.Model.fit`.
            callbacks: Keras callbacks. A step's own figures are in `model.last_step`. Where one follows batches, each
                step is a call of its own; else short steps are made many per call, and seen in `model.last_steps`.
            validation_data: (inputs, targets), evaluated after every `validation_freq` epochs.
            shuffle: Draw a new order each epoch; not with `UpdateBatches`.
            initial_epoch: Epoch to start at.
            validation_freq: As for `keras.Model.fit`.
            initial_step: Updates of the initial epoch that were made already, of a run that was interrupted
                within it.
            **unsupported: Keras' other arguments, accepted only as None.

        Returns:
            The history of the epochs: sample-weighted means over their steps.
        """
        keras_internals.assert_compiled(self, "fit")
        self._refuse_scope("fit")
        refusals.refuse_arguments("fit", unsupported)
        if not isinstance(x, UpdateBatches):
            x = self._as_batches(x, y, batch_size, shuffle)
        elif y is not None or batch_size is not None or shuffle:
            raise ValueError("y, batch_size and shuffle belong to UpdateBatches where x is UpdateBatches.")
        self.prepare(x, training=True)
        assert self._training_parts is not None
        validate = self._validation(validation_data)
        repeats = 2 if self.settings.full_gradient_penalty_strength else 1
        steps = self._training_parts.steps
        self._driver = driver_of(steps, source_of(x, self.distribute_strategy, repeats))
        timeline = self._timeline = Timeline(
            x.plan(self.distribute_strategy.num_replicas_in_sync), self.steps_completed, initial_step
        )
        per_epoch = timeline.plan.steps_per_epoch
        listed = loop.callback_list(
            self, callbacks, verbose=verbose, epochs=epochs, steps=per_epoch, history=True
        )
        steps.clear()
        loop.run_epochs(
            self,
            listed,
            initial_epoch=initial_epoch,
            epochs=epochs,
            steps_left=lambda: per_epoch - timeline.step_in_epoch(self.steps_completed),
            steps_per_epoch=per_epoch,
            validate=validate,
            validation_freq=validation_freq,
        )
        return self.history

    def train_step(self, most: int = 1) -> tuple[int, dict[str, float]]:
        """One optimizer update over one update batch, or several in one call; called by `fit`.

        Args:
            most: Most updates to make.

        Returns:
            How many were made, and the means over the epoch so far. The steps' own figures go to `last_steps`.

        Raises:
            NonFiniteError: Loss or gradient is not finite; that step was not applied.
            RunInterruptedError: A stop was requested; the step under way was not applied.
            DeviceMemoryError: A micro-batch does not fit the device.
        """
        assert self._driver is not None
        assert self._timeline is not None
        started = time.perf_counter()
        before = self.steps_completed
        epoch, step = self._timeline.epoch(before), self._timeline.step_in_epoch(before)
        try:
            made = self._driver.advance(
                epoch, step, most, lambda: self.stop_requested() is None, self._listen
            )
        except tf.errors.ResourceExhaustedError as error:
            raise DeviceMemoryError(
                f"the device ran out of memory in step {before + 1}: choose a smaller micro_batch_size (here "
                f"{self.settings.micro_batch_size}) or a smaller network."
            ) from error
        seconds = time.perf_counter() - started
        figures = made.figures[:-1] if made.refused else made.figures
        logs: dict[str, float] = {}
        if not made.stopped and len(figures):
            self.last_steps = step_records(
                figures, before + len(figures), self._timeline, seconds, accuracy=self._classifies
            )
            logs = self._results(self._means.add(figures))
        if made.stopped:
            raise RunInterruptedError(self.stop_requested() or "another worker")
        if made.refused:
            self._refuse_non_finite(made.figures[-1], epoch, step + len(figures))
        return len(figures), logs

    def _refuse_non_finite(self, row: np.ndarray, epoch: int, step: int) -> None:
        assert self._driver is not None
        assert self._training_parts is not None
        name = first_not_finite(row, list(_WATCHED))
        assert name is not None
        functions = self._training_parts.steps
        batches = self._driver.source.batches
        scalars = functions.scalars(tf.constant(epoch, tf.int64))
        objective = self._objective_of(batches, step, scalars)
        question = StepInQuestion(batches, step, scalars, functions.full_gradient)
        origin = diagnose(objective, self._training_parts.loss, self._training_parts.penalty, question)
        raise NonFiniteError(_WATCHED[name], named_figures(row)[name], self.steps_completed + 1, origin)

    def evaluate(
        self,
        x: np.ndarray | UpdateBatches,
        y: np.ndarray | None = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        return_dict: bool = False,
        **unsupported: Any,
    ) -> dict[str, float] | list[float] | float:
        """Loss, accuracy and compiled metrics over a data set, each sample counted once.

        Args:
            x: Inputs `[samples, ...]`, or `UpdateBatches` of one step per epoch.
            y: Targets `[samples]` or `[samples, ...]`; not with `UpdateBatches`.
            batch_size: Not used: samples go through in micro-batches.
            verbose: As for `keras.Model.evaluate`.
            callbacks: Keras callbacks.
            return_dict: Return a dictionary instead of a list.
            **unsupported: Keras' other arguments, accepted only as None.
        """
        del batch_size
        refusals.refuse_arguments("evaluate", unsupported)
        keras_internals.assert_compiled(self, "evaluate")
        self._refuse_scope("evaluate")
        data = x if isinstance(x, UpdateBatches) else self._as_batches(x, y)
        if data.plan(replicas=1).steps_per_epoch != 1:
            raise ValueError(
                f"evaluate() takes UpdateBatches of one step per epoch, but these have batch_size="
                f"{data.batch_size} for {len(data)} samples: leave batch_size unset."
            )
        self.prepare(data, training=False)
        listed = loop.callback_list(self, callbacks, verbose=verbose, epochs=1, steps=1, history=False)
        logs = loop.run_evaluation(listed, lambda: self.test_step(data))
        return logs if return_dict else loop.in_order(logs, keras_internals.compiled_metrics(self))

    def test_step(self, data: UpdateBatches) -> dict[str, float]:
        """The evaluation of a whole data set; called by `evaluate`."""
        assert self._evaluation_parts is not None
        self.reset_metrics()
        means = self._evaluation_parts.full_pass.run(
            source_of(data, self.distribute_strategy),
            0,
            parts.no_scalars(),
            between=lambda place: self.stop_requested() is None,
        )
        if float(means.stop_votes):
            raise RunInterruptedError(self.stop_requested() or "another worker")
        figures = {"loss": float(means.weighted.loss), "accuracy": float(means.sampled)}
        return self._results(figures)

    def train_on_batch(self, *arguments: Any, **named: Any) -> NoReturn:
        """Refused: `fit` makes updates."""
        refusals.refuse_on_batch("train_on_batch")

    def test_on_batch(self, *arguments: Any, **named: Any) -> NoReturn:
        """Refused: `evaluate` evaluates."""
        refusals.refuse_on_batch("test_on_batch")

    def evaluate_batches(self, batches: UpdateBatches) -> dict[str, float]:
        """`evaluate` without Keras' progress bar, name -> figure."""
        results = self.evaluate(batches, verbose=0, return_dict=True)
        assert isinstance(results, dict)
        return results

    def objective(
        self, x: np.ndarray | UpdateBatches, y: np.ndarray | None = None, *, step: int = 0
    ) -> Objective:
        """The training objective of an update batch: loss, gradient and curvature at any parameters.

            objective = model.objective(images, labels)
            values, vectors = scipy.sparse.linalg.eigsh(objective.linear_operator(), k=3, which="LA")

        Args:
            x: Inputs `[samples, ...]`, or `UpdateBatches`.
            y: Targets `[samples]` or `[samples, ...]`; not with `UpdateBatches`.
            step: Which step of an epoch, where `UpdateBatches` have several.
        """
        keras_internals.assert_compiled(self, "objective")
        self._refuse_scope("objective")
        data = x if isinstance(x, UpdateBatches) else self._as_batches(x, y)
        self.prepare(data, training=True)
        assert self._training_parts is not None
        epoch = self.steps_completed // data.plan(1).steps_per_epoch
        scalars = self._training_parts.steps.scalars(tf.constant(epoch, tf.int64))
        return self._objective_of(data, step, scalars)

    def prepare(self, data: UpdateBatches, *, training: bool) -> None:
        """Builds network, optimizer, metrics and compiled functions for the data's shapes, once.

        `fit` and `evaluate` call it; call it yourself to have a model refused before anything else happens.

        Args:
            data: Update batches of the shapes to come.
            training: Prepare for `fit`; else for `evaluate`.

        Raises:
            ValueError: The model cannot be trained, or evaluated, on such data.
        """
        parts.refuse_unsupported(self)
        if data.micro_batch_size != self.settings.micro_batch_size:
            raise ValueError(
                f"The data come in micro-batches of {data.micro_batch_size}, but the model takes "
                f"{self.settings.micro_batch_size}: give both the same micro_batch_size."
            )
        inputs, targets, _ = data.element_spec
        refusals.refuse_several_inputs(self.network)
        with self.distribute_strategy.scope():
            self.build((None, *data.inputs.shape[1:]))
            outputs = parts.build_all(self, inputs, targets)
        check_targets(data.targets, *refusals.classes_of(self.loss, outputs))
        key = (*keras_internals.compile_key(self), inputs, targets)
        known = self._training_parts if training else self._evaluation_parts
        if known is None or known.key != key:
            if training:
                self._training_parts = parts.build_training(self, inputs, targets, key)
            else:
                self._evaluation_parts = parts.build_evaluation(self, key)
        self._classifies = classifies(targets, outputs)

    def reset_metrics(self) -> None:
        """Forgets the epoch's means, and resets the metrics given to `compile` on each replica by itself.

        Keras would reset them, and its own mean of the loss, from outside, which costs an all-reduce per variable.
        """
        metrics = keras_internals.compiled_metrics(self)
        if metrics is not None and metrics.built:
            self.distribute_strategy.run(metrics.reset_state)
        self._means = EpochMeans()

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        config = super().get_config()
        config |= self.settings.to_flat()
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

    def _validation(
        self, data: tuple[np.ndarray, np.ndarray] | None
    ) -> Callable[[], dict[str, float]] | None:
        """What evaluates (inputs, targets) within `fit`."""
        if data is None:
            return None
        if not isinstance(data, tuple | list):
            refusals.refuse_data(data, "validation_data")
        if len(data) != 2:
            raise ValueError(f"validation_data must be (inputs, targets), but it has {len(data)} parts.")
        batches = self._as_batches(*data)
        self.prepare(batches, training=False)
        return functools.partial(self.evaluate_batches, batches)

    def _objective_of(self, data: UpdateBatches, step: int, scalars: StepScalars) -> Objective:
        assert self._training_parts is not None
        source = source_of(data, self.distribute_strategy)
        micro_batches = source.plan.micro_batches(step)
        trained = self._training_parts
        return Objective(
            trained.loss,
            trained.make_pass,
            source,
            step,
            scalars,
            micro_batches,
            trained.refuse_inexact_products,
        )

    def _as_batches(
        self, x: np.ndarray, y: np.ndarray | None, batch_size: int | None = None, shuffle: bool = False
    ) -> UpdateBatches:
        refusals.refuse_data(x)
        refusals.refuse_data(y, "y")
        size, seed = self.settings.micro_batch_size, self.settings.seed
        return UpdateBatches(x, y, batch_size=batch_size, micro_batch_size=size, shuffle=shuffle, seed=seed)

    def _refuse_scope(self, method: str) -> None:
        if tf.distribute.in_cross_replica_context():
            raise ValueError(
                f"{method}() was called within strategy.scope(): only making and compiling the model belongs there. "
                f"Call {method}() after the with block."
            )

    def _listen(self, done: int, rounds: int) -> None:
        for listener in self.chunk_listeners:
            listener(done, rounds)

    def _results(self, figures: dict[str, float]) -> dict[str, float]:
        """Our figures and those of the metrics given to `compile`."""
        if not self._classifies:
            del figures["accuracy"]
        metrics = keras_internals.compiled_metrics(self)
        compiled = {} if metrics is None else {name: float(value) for name, value in metrics.result().items()}
        return {**compiled, **figures}
