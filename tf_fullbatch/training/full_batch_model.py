"""`FullBatchModel`: a Keras model whose `train_step` is one optimizer update over the whole update batch."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.data.pipeline import UpdateBatches
from tf_fullbatch.objective import Augmentation, Clock
from tf_fullbatch.outcomes import DeviceMemoryError, NonFiniteError
from tf_fullbatch.training import assembly
from tf_fullbatch.training.evaluation import EvaluationFunctions, classifies
from tf_fullbatch.training.step import StepFunctions
from tf_fullbatch.training.timeline import EpochMeans, Timeline
from tf_fullbatch.trees import Tree

ChunkListener = Callable[[int, int], None]
"""Called after each chunk of a step with (rounds done, rounds in the step)."""


@dataclasses.dataclass(slots=True)
class _Session:
    """What a model holds while it trains or evaluates; never saved."""

    step: StepFunctions | None = None
    evaluation: EvaluationFunctions | None = None
    built_for: tuple = ()
    classifies: bool = False
    results: dict[str, float] = dataclasses.field(default_factory=dict)
    timeline: Timeline | None = None
    evaluated: UpdateBatches | None = None
    means: EpochMeans = dataclasses.field(default_factory=EpochMeans)
    last_step: dict[str, float] = dataclasses.field(default_factory=dict)
    chunk_listeners: list[ChunkListener] = dataclasses.field(default_factory=list)


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class FullBatchModel(keras.Model):
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
        super().__init__(
            **{name: settings.pop(name) for name in ("name", "trainable", "dtype") if name in settings}
        )
        self.network = network
        self.augmentation_function = augmentation_function
        self.settings = StepConfig(**settings)
        self._session = _Session()

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """The network's outputs."""
        if self.settings.flip_averaging and not training:
            return (
                self.network(inputs, training=False) + self.network(inputs[:, :, ::-1], training=False)
            ) / 2
        return self.network(inputs, training=training)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Builds the network."""
        if not self.network.built:
            self.network.build(input_shape)
        self.built = True

    @property
    def last_step(self) -> dict[str, float]:
        """Figures of the last completed step: loss, gradient_norm, ... (`tf_fullbatch.records.STEP_COLUMNS`)."""
        return self._session.last_step

    @property
    def chunk_listeners(self) -> list[ChunkListener]:
        """Functions called after each chunk of a step; append yours."""
        return self._session.chunk_listeners

    @property
    def steps_completed(self) -> int:
        """Optimizer updates made so far."""
        return int(keras.ops.convert_to_numpy(self.optimizer.iterations))

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
    ) -> keras.callbacks.History:
        """Trains for a number of epochs, each of ceil(N / batch_size) updates.

        Args:
            x: Inputs `[samples, ...]` (images as uint8 for `tf_fullbatch` networks), or `UpdateBatches`.
            y: Targets `[samples]` or `[samples, ...]`; not with `UpdateBatches`.
            batch_size: Samples an update; None for the whole set. Not with `UpdateBatches`.
            epochs: Epoch to stop after.
            verbose: As for `keras.Model.fit`.
            callbacks: Keras callbacks. A step's own figures are in `model.last_step`.
            validation_data: (inputs, targets), evaluated after every `validation_freq` epochs.
            shuffle: Draw a new order each epoch; not with `UpdateBatches`.
            initial_epoch: Epoch to start at.
            validation_freq: As for `keras.Model.fit`.

        Returns:
            The history of the epochs: sample-weighted means over their steps.
        """
        self._assert_compile_called("fit")
        if not isinstance(x, UpdateBatches):
            x = UpdateBatches(
                x,
                _required(y),
                batch_size=batch_size,
                micro_batch_size=self.settings.micro_batch_size,
                shuffle=shuffle,
                seed=self.settings.seed,
            )
        elif y is not None or batch_size is not None or shuffle:
            raise ValueError("y, batch_size and shuffle belong to UpdateBatches where x is UpdateBatches.")
        self._prepare(x)
        plan = x.plan(self.distribute_strategy.num_replicas_in_sync)
        self._session.timeline = Timeline(plan, self.steps_completed)
        dataset = x.distributed(
            self.distribute_strategy,
            first_epoch=self._session.timeline.first_epoch,
            repeats=2 if self.settings.full_gradient_penalty_strength else 1,
        )
        if validation_data is not None:
            self._session.evaluated = self._one_batch(*validation_data)
            validation_data = (self._session.evaluated.one_epoch(self.distribute_strategy), None)
        return super().fit(
            dataset,
            epochs=epochs,
            shuffle=False,
            verbose=verbose,
            callbacks=callbacks,
            validation_data=validation_data,
            validation_steps=1 if validation_data is not None else None,
            validation_freq=validation_freq,
            initial_epoch=initial_epoch,
            steps_per_epoch=plan.steps_per_epoch,
        )

    def train_step(self, iterator: Iterator) -> dict[str, float]:
        """One optimizer update over one update batch.

        Args:
            iterator: Yields the update batch's chunks (`UpdateBatches.distributed`).

        Returns:
            Means over the epoch so far. The step's own figures go to `last_step`.

        Raises:
            NonFiniteError: Loss or gradient is not finite; nothing was assigned.
            DeviceMemoryError: A micro-batch does not fit the device.
        """
        started = time.perf_counter()
        step, clock = self._session.step, self._clock()
        full_gradient = None
        if self.settings.full_gradient_penalty_strength:
            self._accumulate(iterator, clock, None, penalised=False)
            full_gradient = step.mean_gradient()
        micro_batches = self._accumulate(iterator, clock, full_gradient, penalised=True)
        update = step.reduce(clock, full_gradient)
        figures = {name: float(value) for name, value in update.scalars.items()}
        self._refuse_non_finite(figures)
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
            learning_rate=tf.cast(keras.ops.convert_to_numpy(self.optimizer.learning_rate), floatx),
            strength=tf.constant(ramp * self.settings.penalty_strength, floatx),
            full_strength=tf.constant(ramp * self.settings.full_gradient_penalty_strength, floatx),
        )

    def _accumulate(
        self, iterator: Iterator, clock: Clock, full_gradient: Tree | None, *, penalised: bool
    ) -> int:
        """Sums up one pass over the update batch; returns the number of its micro-batches."""
        timeline = self._session.timeline
        step_in_epoch = timeline.step_in_epoch(int(clock.step))
        rounds = timeline.plan.rounds(step_in_epoch)
        self._session.step.begin()
        for done in range(1, rounds + 1):
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
        return timeline.plan.micro_batches(step_in_epoch)

    def _refuse_non_finite(self, figures: dict[str, float]) -> None:
        for name, quantity in (("loss", "the loss"), ("gradient_norm", "the gradient norm")):
            if not np.isfinite(figures[name]):
                raise NonFiniteError(quantity, figures[name], self.steps_completed + 1)

    def _record(self, figures: dict[str, float]) -> dict[str, float]:
        """Keeps a step's figures and returns the epoch's means so far."""
        samples = int(figures.pop("samples"))
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

    # Evaluation

    def evaluate(
        self,
        x: np.ndarray | UpdateBatches,
        y: np.ndarray | None = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> dict[str, float] | list[float]:
        """Loss, accuracy and compiled metrics over a data set, each sample counted once.

        Args:
            x: Inputs `[samples, ...]`, or `UpdateBatches` of one step an epoch.
            y: Targets `[samples]` or `[samples, ...]`; not with `UpdateBatches`.
            batch_size: Not used: samples go through in micro-batches.
            verbose: As for `keras.Model.evaluate`.
            callbacks: Keras callbacks.
            return_dict: Return a dictionary instead of a list.
            **kwargs: Keras' own, from `fit`.
        """
        del batch_size
        self._assert_compile_called("evaluate")
        if not kwargs.get("_use_cached_eval_dataset"):
            data = x if isinstance(x, UpdateBatches) else self._one_batch(x, _required(y))
            self._prepare(data)
            self._session.evaluated = data
            x, y = data.one_epoch(self.distribute_strategy), None
            kwargs["steps"] = 1
        return super().evaluate(x, y, verbose=verbose, callbacks=callbacks, return_dict=return_dict, **kwargs)

    def test_step(self, iterator: Iterator) -> dict[str, float]:
        """The evaluation of a whole data set, from an iterator over its chunks."""
        plan = self._session.evaluated.plan(self.distribute_strategy.num_replicas_in_sync)
        self._session.evaluation.begin()
        for _ in range(plan.rounds(0)):
            self._session.evaluation.accumulate(iterator)
        figures = {name: float(value) for name, value in self._session.evaluation.reduce().items()}
        shown = ("loss", "accuracy") if self._session.classifies else ("loss",)
        return self._results({name: figures[name] for name in shown})

    # Keras' machinery

    def make_train_function(self, force: bool = False) -> None:
        """`train_step` loops over chunks in Python and compiles what is inside."""
        self.train_function = self.train_step

    def make_test_function(self, force: bool = False) -> None:
        """`test_step` loops over chunks in Python and compiles what is inside."""
        self.test_function = self.test_step

    def reset_metrics(self) -> None:
        """Forgets the epoch's means; called by Keras at the beginning of epochs and evaluations."""
        super().reset_metrics()
        self._session.means = EpochMeans()

    def get_metrics_result(self) -> dict[str, float]:
        """The last results of `train_step` or `test_step`."""
        return self._session.results

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

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing to do: `_prepare` builds from shapes, where Keras would average a batch over replicas."""

    def _prepare(self, data: UpdateBatches) -> None:
        """Builds network, optimizer, metrics and compiled functions for the data's shapes, once."""
        if data.micro_batch_size != min(self.settings.micro_batch_size, len(data)):
            raise ValueError(
                f"The data come in micro-batches of {data.micro_batch_size}, but the model takes "
                f"{self.settings.micro_batch_size}: give both the same micro_batch_size."
            )
        with self.distribute_strategy.scope():
            self.build((None, *data.inputs.shape[1:]))
            if not self.optimizer.built:
                self.optimizer.build(self.network.trainable_variables)
            metrics = self.compiled_metrics_or_none
            if metrics is not None and not metrics.built:
                outputs = keras.KerasTensor(self.network.output_shape, keras.config.floatx())
                metrics.build(
                    keras.KerasTensor((None, *data.targets.shape[1:]), str(data.targets.dtype)), outputs
                )
        key = (id(self.optimizer), id(self._compile_loss), data.element_spec)
        if self._session.built_for != key:
            self._session.step = assembly.build_step(self, data)
            self._session.evaluation = assembly.build_evaluation(self)
            self._session.classifies = classifies(data.element_spec[1], self.network.output)
            self._session.built_for = key

    def _one_batch(self, x: np.ndarray, y: np.ndarray) -> UpdateBatches:
        return UpdateBatches(x, y, micro_batch_size=self.settings.micro_batch_size)

    @property
    def compiled_metrics_or_none(self) -> keras.metrics.Metric | None:
        """The container of the metrics given to `compile`, if any."""
        return self._compile_metrics

    def _results(self, figures: dict[str, float]) -> dict[str, float]:
        """Our figures and those of the metrics given to `compile`."""
        metrics = self.compiled_metrics_or_none
        compiled = {} if metrics is None else {name: float(value) for name, value in metrics.result().items()}
        self._session.results = {**compiled, **figures}
        return self._session.results


def _required(targets: np.ndarray | None) -> np.ndarray:
    if targets is None:
        raise ValueError("y is missing: give the targets, one a sample.")
    return targets
