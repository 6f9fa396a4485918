"""How Keras' `fit` and `evaluate` hand whole update batches to `train_step` and `test_step`."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core.micro_batch import Augmentation
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.training import assembly
from tf_fullbatch.training.evaluation import classifies
from tf_fullbatch.training.session import ChunkListener, Session, StopRequested
from tf_fullbatch.training.timeline import EpochMeans, Timeline


class UpdateBatchModel(keras.Model):
    """A Keras model that is fed chunks of update batches, and steps over them in Python.

    Abstract: `FullBatchModel` adds `train_step` and `test_step`. Stock Keras would build by averaging a batch
    over replicas, compile the whole step into one graph and reduce its results by a mean; all three are wrong
    for unequal shards, and are replaced here.

    Args:
        network: The network to train.
        settings: The step's settings.
        augmentation_function: In place of the settings' augmentation, if any.
        **kwargs: Keras' own: name, trainable, dtype.
    """

    def __init__(
        self,
        network: keras.Model,
        settings: StepConfig,
        augmentation_function: Augmentation | None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.network = network
        self.settings = settings
        self.augmentation_function = augmentation_function
        self._session = Session()

    @property
    def last_step(self) -> dict[str, float]:
        """Figures of the last completed step: loss, gradient_norm, ... (`records.columns.STEP_COLUMNS`)."""
        return self._session.last_step

    @property
    def chunk_listeners(self) -> list[ChunkListener]:
        """Functions called after each chunk of a step; append yours."""
        return self._session.chunk_listeners

    @property
    def stop_requested(self) -> StopRequested:
        """Asked before each chunk of a step or an evaluation; where it names a reason, that is dropped.

        `fit` and `evaluate` then raise `tf_fullbatch.errors.RunInterruptedError`, on every worker in the same step.
        """
        return self._session.stop_requested

    @stop_requested.setter
    def stop_requested(self, asked: StopRequested) -> None:
        self._session.stop_requested = asked

    @property
    def steps_completed(self) -> int:
        """Optimizer updates made so far."""
        return int(self.optimizer.iterations.numpy())

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
            initial_step: Updates of the initial epoch that were made already, of a run that was interrupted
                within it. Callbacks then see a training of the rest of that epoch, and one of the others.

        Returns:
            The history of the epochs: sample-weighted means over their steps.
        """
        self._assert_compile_called("fit")
        self._refuse_scope("fit")
        if not isinstance(x, UpdateBatches):
            x = self._as_batches(x, y, batch_size, shuffle)
        elif y is not None or batch_size is not None or shuffle:
            raise ValueError("y, batch_size and shuffle belong to UpdateBatches where x is UpdateBatches.")
        self.prepare(x, training=True)
        plan = x.plan(self.distribute_strategy.num_replicas_in_sync)
        self._session.timeline = Timeline(plan, self.steps_completed, initial_step)
        self._session.trained = x
        dataset = x.distributed(
            self.distribute_strategy,
            first_epoch=self._session.timeline.first_epoch,
            first_step=initial_step,
            repeats=2 if self.settings.full_gradient_penalty_strength else 1,
        )
        validation = self._validation_dataset(validation_data)
        history = super().fit(
            dataset,
            epochs=initial_epoch + 1 if initial_step else epochs,
            shuffle=False,
            verbose=verbose,
            callbacks=callbacks,
            validation_data=validation,
            validation_steps=1 if validation is not None else None,
            validation_freq=validation_freq,
            initial_epoch=initial_epoch,
            steps_per_epoch=plan.steps_per_epoch - initial_step,
        )
        if not initial_step or initial_epoch + 1 >= epochs or self.stop_training:
            return history
        return self.fit(
            x,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_data=validation_data,
            initial_epoch=initial_epoch + 1,
            validation_freq=validation_freq,
        )

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
        self._refuse_scope("evaluate")
        if not kwargs.get("_use_cached_eval_dataset"):
            data = x if isinstance(x, UpdateBatches) else self._as_batches(x, y)
            if data.plan(replicas=1).steps_per_epoch != 1:
                raise ValueError(
                    f"evaluate() takes UpdateBatches of one step an epoch, but these have batch_size="
                    f"{data.batch_size} for {len(data)} samples: leave batch_size unset."
                )
            self.prepare(data, training=False)
            self._session.evaluated = data
            x, y = data.from_the_start(self.distribute_strategy), None
            kwargs["steps"] = 1
        elif self._session.validation is not None:
            self._session.evaluated = self._session.validation
        return super().evaluate(x, y, verbose=verbose, callbacks=callbacks, return_dict=return_dict, **kwargs)

    def _validation_dataset(self, data: tuple[np.ndarray, np.ndarray] | None) -> tuple[Any, None] | None:
        """What Keras' `fit` takes for (inputs, targets): a data set, and no targets beside it."""
        if data is None:
            return None
        if len(data) != 2:
            raise ValueError(f"validation_data must be (inputs, targets), but it has {len(data)} parts.")
        self._session.validation = self._as_batches(*data)
        self.prepare(self._session.validation, training=False)
        return self._session.validation.from_the_start(self.distribute_strategy), None

    def evaluate_batches(self, batches: UpdateBatches) -> dict[str, float]:
        """`evaluate` without Keras' progress bar, name -> figure."""
        results = self.evaluate(batches, verbose=0, return_dict=True)
        assert isinstance(results, dict)
        return results

    def prepare(self, data: UpdateBatches, *, training: bool) -> None:
        """Builds network, optimizer, metrics and compiled functions for the data's shapes, once.

        `fit` and `evaluate` call it; call it yourself to have a model refused before anything else happens.

        Args:
            data: Update batches of the shapes to come.
            training: Prepare for `fit`; else for `evaluate`.

        Raises:
            ValueError: The model cannot be trained, or evaluated, on such data.
        """
        assembly.refuse_unsupported(self)
        if data.micro_batch_size != min(self.settings.micro_batch_size, len(data)):
            raise ValueError(
                f"The data come in micro-batches of {data.micro_batch_size}, but the model takes "
                f"{self.settings.micro_batch_size}: give both the same micro_batch_size."
            )
        with self.distribute_strategy.scope():
            self.build((None, *data.inputs.shape[1:]))
            if not self.network.trainable_variables:
                raise ValueError(
                    f"The network {self.network.name!r} has no trainable weights: there is nothing to train. Give it "
                    "layers with weights, or set trainable=True on those it has."
                )
            outputs = assembly.network_outputs(self.network, data.element_spec[0])
            if not self.optimizer.built:
                self.optimizer.build(self.network.trainable_variables)
            metrics = self.compiled_metrics_or_none
            if metrics is not None and not metrics.built:
                metrics.build(assembly.symbolic(data.element_spec[1]), outputs)
        # The objects themselves: an id may come back once its object is gone.
        key = (self.optimizer, self._compile_loss, self._compile_metrics, data.element_spec)
        if training and self._session.step_key != key:
            self._session.step = assembly.build_step(self, data.element_spec[0])
            self._session.step_key = key
        if not training and self._session.evaluation_key != key:
            self._session.evaluation = assembly.build_evaluation(self)
            self._session.evaluation_key = key
        self._session.classifies = classifies(data.element_spec[1], outputs)

    def make_train_function(self, force: bool = False) -> None:
        """`train_step` loops over chunks in Python and compiles what is inside."""
        self.train_function = self.train_step

    def make_test_function(self, force: bool = False) -> None:
        """`test_step` loops over chunks in Python and compiles what is inside."""
        self.test_function = self.test_step

    def reset_metrics(self) -> None:
        """Forgets the epoch's means; called by Keras at the beginning of epochs and evaluations.

        The metrics given to `compile` are reset on each replica by itself. Keras would reset them, and its own mean of
        the loss, from outside, which costs an all-reduce a variable.
        """
        metrics = self.compiled_metrics_or_none
        if metrics is not None and metrics.built:
            self.distribute_strategy.run(metrics.reset_state)
        self._session.means = EpochMeans()

    def get_metrics_result(self) -> dict[str, float]:
        """The last results of `train_step` or `test_step`."""
        return self._session.results

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing to do: `prepare` builds from shapes, where Keras would average a batch over replicas."""

    def _refuse_scope(self, method: str) -> None:
        if tf.distribute.in_cross_replica_context():
            raise ValueError(
                f"{method}() was called within strategy.scope(): only making and compiling the model belongs there. "
                f"Call {method}() after the with block."
            )

    def _as_batches(
        self, x: np.ndarray, y: np.ndarray | None, batch_size: int | None = None, shuffle: bool = False
    ) -> UpdateBatches:
        settings = self.settings
        return UpdateBatches(
            x,
            y,
            batch_size=batch_size,
            micro_batch_size=settings.micro_batch_size,
            shuffle=shuffle,
            seed=settings.seed,
        )

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
